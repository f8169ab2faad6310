"""One `captioner up`, from the first program to the last: start, greet, watch, drain."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click

from captioner.access.doors import asks_for_keys
from captioner.settings import Settings
from cli.data_folder import DataFolder
from cli.display import Display
from cli.flower import PASSWORD_FILE, USER
from cli.household import Household, Ready
from cli.programs import Program, configuration
from cli.supervision import Supervisor, SupervisorGone

STOPPED_AT_ONCE = 130  # as shells report an interrupted program
LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up, not bound
EXAMPLE = Path(__file__).parents[1] / "examples" / "red-star.png"


@dataclass(frozen=True)
class Place:
    """Where everything is."""

    settings: Settings
    folder: DataFolder
    flower_port: int | None

    @property
    def url(self) -> str:
        """The API, as a program of this machine reaches it."""
        host = LOCAL.get(self.settings.host, self.settings.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.settings.port}"


def run(place: Place, programs: list[Program], lock: TextIO) -> int:
    """Run the programs until interrupted. Returns the exit code; raises ClickException."""
    display = Display(as_json=place.settings.log_format == "json")
    display.say(f"Starting {', '.join(program.name for program in programs)}.")
    try:
        supervisor = _start(place.folder, programs, lock)
        try:
            return _serve(
                place, Household(supervisor, programs, display, place.folder.logs), display
            )
        finally:
            supervisor.kill()
    except SupervisorGone as error:
        raise click.ClickException(
            f"The supervisor of the parts has ended ({error}), so all were stopped. "
            f"Its log: {place.folder.logs / 'supervisord.log'}"
        ) from error


def _serve(place: Place, household: Household, display: Display) -> int:
    try:
        for line in greeting(place, household.await_ready(place.url)):
            display.say(line)
        household.watch()
    except KeyboardInterrupt:
        return _drain(household, display)
    except click.ClickException:
        household.drain()
        raise


def _start(folder: DataFolder, programs: list[Program], lock: TextIO) -> Supervisor:
    conf = folder.control / "supervisord.conf"
    conf.write_text(configuration(programs, socket=folder.supervisor_socket))
    return Supervisor.start(
        conf,
        folder.supervisor_socket,
        stdin=lock,  # so that the folder stays locked while supervisord drains after our death
        errors=folder.logs / "supervisord.err",
    )


def _drain(household: Household, display: Display) -> int:
    display.say()
    display.say("Draining: no new requests, running work ends. Ctrl-C again stops at once.")
    try:
        household.drain()
    except KeyboardInterrupt:
        display.say("Stopped at once. Work that was cut off starts again with the next start.")
        return STOPPED_AT_ONCE
    display.say("Done. What was waiting goes on with the next start.")
    return 0


def greeting(place: Place, ready: Ready) -> list[str]:
    """The lines that are shown once, when everything is ready."""
    lines = [
        f"Ready after {ready.seconds:.0f} s, with the model {place.settings.model!r}.",
        "",
        f"  API      {place.url}",
        f"  Docs     {place.url}/docs",
    ]
    if ready.has_page:
        lines.insert(2, f"  Page     {place.url}/")
    if place.flower_port is not None:
        secret = place.folder.run / PASSWORD_FILE
        lines.append(f"  Flower   http://127.0.0.1:{place.flower_port}")
        if place.settings.log_format == "json":  # lines that a program keeps
            lines.append(f"           user {USER}, password in {secret}")
        else:
            lines.append(f"           user {USER}, password {secret.read_text().strip()}")
    return [
        *lines,
        f"  Data     {place.folder.root}",
        f"  Logs     {place.folder.logs}",
        "",
        "Try it in another terminal:",
        *_to_try(place),
        "",
        "Ctrl-C ends it: running work is finished first.",
    ]


def _to_try(place: Place) -> list[str]:
    call = f"-F images=@{_picture()} {place.url}/captionImageBlocking"
    if not asks_for_keys(place.settings):
        return [f"  curl {call}"]
    folder = f"CAPTIONER_DATA_DIR={shlex.quote(str(place.folder.root))} "
    where = "" if place.settings.database_url else folder
    return [
        f"  curl -H 'Authorization: Bearer KEY' {call}",
        "",
        "KEY is an API key, which this makes:",
        f"  {where}captioner keys create --owner me --scope submit --scope read",
    ]


def _picture() -> str:
    if not EXAMPLE.exists():
        return "photo.jpg"
    here = Path.cwd()
    return str(EXAMPLE.relative_to(here) if EXAMPLE.is_relative_to(here) else EXAMPLE)
