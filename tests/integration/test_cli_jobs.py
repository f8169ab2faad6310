"""`captioner jobs` against a real API: what it shows, changes, and ends with."""

import json
import re
import sys
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from captioner import jobs
from captioner.database import Database
from captioner.work import Outcome
from cli.jobs import STATES
from cli.main import main
from models import Job, JobState
from tests import processes
from tests.integration.access import guarded
from tests.integration.rows import claim, state
from tests.pictures import plain
from tests.stacks import Stack
from tests.terminal import screen


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an API without a worker."""
    folder = tmp_path_factory.mktemp("api")
    with processes.service(stack.environment, folder, workers=0, ready=False) as base:
        yield base


def run(server: str, *arguments: str, stdin: str | None = None) -> Result:
    first, *rest = arguments
    return CliRunner().invoke(main, ["jobs", first, "--server", server, *rest], input=stdin)


def finish(database: Database, job_id: UUID, images: int) -> None:
    with database.write() as session:
        claims = claim(session, job_id, *range(images))
        jobs.finish(session, [Outcome(each, caption=f"no. {each.position}") for each in claims])


def test_jobs_are_listed_and_shown_as_lines(server, make, database) -> None:
    job_id = make(3, refused=1)
    finish(database, job_id, 1)
    listed = run(server, "list", "--status", "running")
    (line,) = [each for each in listed.stdout.splitlines() if each.startswith(str(job_id))]
    assert line.split("\t")[1:4] == ["running", "2", "3"]
    assert run(server, "show", str(job_id)).stdout.splitlines() == [
        "0\tsucceeded\t0.png\tno. 0",
        "1\tqueued\t1.png\t",
        "2\tfailed\tbad\tcut (image_truncated)",
    ]
    shown = json.loads(run(server, "show", str(job_id), "--json").stdout)
    assert shown["counts"]["total"] == 3


def test_a_job_id_can_be_copied_from_a_terminal_of_80_columns(server, make, database) -> None:
    job_id = make(3)
    finish(database, many := make(10_000), 10_000)  # and there is room for the longest line
    command = [sys.executable, "-m", "cli.main", "jobs", "list", "--server", server]
    lines = screen(command, columns=80).splitlines()
    for shown, counts in ((job_id, "queued +0 +3"), (many, "succeeded +10000 +10000")):
        (line,) = [x for x in lines if str(shown) in x]
        assert re.search(rf"{counts} +20\d\d-\d\d-\d\d \d\d:\d\d\s*$", line)


def test_who_needs_a_key_is_told_how_to_give_it(stack, tmp_path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(plain())
    with guarded(stack, tmp_path) as api:
        for command in (["caption", str(tmp_path / "a.png")], ["jobs", "list"]):
            for key in (None, api.key("x", "submit" if command[0] == "jobs" else "read")):
                if key:
                    monkeypatch.setenv("CAPTIONER_KEY", key)
                refused = CliRunner().invoke(main, [*command, "--server", api.url])
                monkeypatch.delenv("CAPTIONER_KEY", raising=False)
                assert refused.exit_code == 2
                assert "This command shows the key that is in CAPTIONER_KEY." in refused.stderr
        monkeypatch.setenv("CAPTIONER_KEY", api.key("x"))
        assert run(api.url, "list").exit_code == 0


@pytest.mark.parametrize("command", ["caption", "jobs"])
def test_the_help_names_the_key(command: str) -> None:
    assert "CAPTIONER_KEY" in CliRunner().invoke(main, [command, "--help"]).stdout


def test_a_job_is_canceled_and_tried_again(server, make, database) -> None:
    job_id = make(2)
    canceled = run(server, "cancel", str(job_id))
    assert (canceled.stdout, canceled.exit_code) == (f"{job_id}\tcanceled\n", 0)
    refused = run(server, "retry", str(job_id), "--only-failed")
    assert refused.exit_code == 1
    assert "No picture of this job has failed" in refused.stderr
    unserved = run(server, "retry", str(job_id))
    assert "does not serve" in unserved.stderr
    assert state(database, job_id) == "canceled"
    with database.write() as session:
        session.execute(update(Job).where(Job.id == job_id).values(model="scenes"))
    again = run(server, "retry", str(job_id))
    assert (again.stdout, again.exit_code) == (f"{job_id}\tqueued\n", 0)
    assert state(database, job_id) == "queued"


def test_waiting_ends_with_what_became_of_the_job(server, make, database) -> None:
    whole, stopped = make(1), make(1)
    finish(database, whole, 1)
    waited = run(server, "wait", str(whole))
    assert (waited.stdout, waited.exit_code) == ("0\tsucceeded\t0.png\tno. 0\n", 0)
    run(server, "cancel", str(stopped), "--wait")
    assert run(server, "wait", str(stopped)).exit_code == 1


def test_a_job_that_is_not_there_is_told_in_one_line(server) -> None:
    for command in ("show", "cancel", "retry", "wait"):
        result = run(server, command, str(uuid4()))
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: There is no job with the id")
        assert result.stderr.count("\n") == 1


def test_nothing_is_deleted_without_a_yes(server, make, database) -> None:
    job_id = make(1)
    assert run(server, "delete", str(job_id), stdin="n\n").exit_code == 1
    assert state(database, job_id) == "queued"


def test_the_command_knows_every_state() -> None:
    assert set(STATES) == {state.value for state in JobState}


def test_a_deleted_job_is_gone_and_says_so(server, make) -> None:
    job_id = make(1)
    run(server, "cancel", str(job_id))
    assert run(server, "delete", str(job_id), "--yes").exit_code == 0
    gone = run(server, "show", str(job_id))
    assert gone.exit_code == 1
    assert "was deleted" in gone.stderr
