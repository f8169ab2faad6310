"""`captioner jobs`: look at the server's jobs, stop them, try again, wait, delete."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import click

from cli.connection import connected, server_option
from cli.escape import json_line
from cli.job_lines import show_job, show_jobs

PLACE = "/captionImage"
STATES = ("queued", "running", "canceling", "succeeded", "partial", "failed", "canceled", "expired")
json_option = click.option("--json", "as_json", is_flag=True, help="Write the server's JSON.")
one_job = click.argument("job_id", metavar="ID")
some_jobs = click.argument("job_ids", metavar="ID...", nargs=-1, required=True)


@click.group()
def jobs() -> None:
    """Look at jobs, stop them, try them again.

    A job is what one request asked for: `captioner caption` makes one for every 16 pictures, and
    `POST /captionImage` answers with its id.

    CAPTIONER_KEY is the API key to show, where the server asks for one.

    \b
    Examples:
      captioner jobs list --status running
      captioner jobs show 01932f0e-8a5c-7cc3-98c4-dc0c0c07398f
      captioner jobs cancel ID            stop it; captions made before are kept
      captioner jobs retry ID             queue its failed and canceled pictures again
      captioner jobs wait ID && echo all captioned
      captioner jobs list --status failed --json | jq -r .id | xargs captioner jobs retry

    \b
    Exit codes: 0 done, 1 refused or the server is away, 2 the command or the key is wrong.
    """


@jobs.command("list")
@server_option
@click.option("--status", multiple=True, type=click.Choice(STATES), help="Only these; repeat it.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, 100),
    default=20,
    show_default=True,
    help="The newest N.",
)
@json_option
def list_(server: str, status: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List jobs, newest first.

    In a pipe: id, status, pictures that are done, pictures in all, and time of creation, with tabs
    between them.
    """
    with connected(server) as there:
        found = there.ask("GET", PLACE, params={"status": list(status), "limit": limit})
    _json(found) if as_json else show_jobs(found)


@jobs.command()
@server_option
@one_job
@json_option
def show(server: str, job_id: str, as_json: bool) -> None:
    """Show a job and what became of each picture.

    In a pipe: position, status, file name, and caption or reason with the error's code, with tabs
    between them.
    """
    with connected(server) as there:
        view = there.ask("GET", _path(job_id))
    _json([view]) if as_json else show_job(view)


@jobs.command()
@server_option
@some_jobs
@click.option("--wait", "until_stopped", is_flag=True, help="Until no work on them goes on.")
def cancel(server: str, job_ids: tuple[str, ...], until_stopped: bool) -> None:
    """Stop jobs. Captions made before are kept.

    What waits is canceled at once; what a worker has begun, within about a second. Until then the
    job is `canceling`. Canceling twice is canceling once; a job that is done is refused.
    """
    with connected(server) as there:
        for job_id in job_ids:
            view = there.ask("POST", f"{_path(job_id)}/cancel")
            if until_stopped and view["status"] == "canceling":
                *_, view = there.watch(job_id)
            _say(view)


@jobs.command()
@server_option
@some_jobs
@click.option("--only-failed", is_flag=True, help="Leave canceled pictures as they are.")
def retry(server: str, job_ids: tuple[str, ...], only_failed: bool) -> None:
    """Queue the failed and canceled pictures of jobs again.

    The jobs must be done. Captions that are there stay; pictures that were refused stay refused.
    """
    with connected(server) as there:
        for job_id in job_ids:
            params = {"only": "failed"} if only_failed else {}
            _say(there.ask("POST", f"{_path(job_id)}/retry", params=params))


@jobs.command()
@server_option
@some_jobs
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(server: str, job_ids: tuple[str, ...], yes: bool) -> None:
    """Delete jobs: their captions, and their pictures where no other job has them."""
    if not yes:
        click.confirm(f"Delete {len(job_ids)} job(s) for good?", abort=True)
    with connected(server) as there:
        for job_id in job_ids:
            _json([there.ask("DELETE", _path(job_id)) or {"id": job_id}])


@jobs.command()
@server_option
@one_job
@json_option
def wait(server: str, job_id: str, as_json: bool) -> None:
    """Wait until a job is done, and show it as `show` does.

    Ends with 0 when every picture has its caption, else with 1. Ctrl-C stops waiting, not the job.
    """
    with connected(server) as there:
        *_, view = there.watch(job_id)
    _json([view]) if as_json else show_job(view)
    raise SystemExit(0 if view["status"] == "succeeded" else 1)


def _path(job_id: str) -> str:
    return f"{PLACE}/{quote(job_id, safe='')}"


def _say(view: Mapping[str, Any]) -> None:
    click.echo(f"{view['id']}\t{view['status']}")


def _json(views: Iterable[Mapping[str, Any]]) -> None:
    for view in views:
        click.echo(json_line(view))
