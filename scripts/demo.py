"""Captions the example pictures through the whole service, and says whether each is right.

Starts `captioner up` in a fresh `.demo` folder on a free port, captions `examples/` with
`captioner caption`, compares with `examples/captions.json`, and stops what it started. Exit
status 0 means that every caption was right and that the service ended cleanly.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES, DATA = ROOT / "examples", ROOT / ".demo"
LOG = DATA / "up.log"
CAPTIONER = str(Path(sys.executable).with_name("captioner"))
READY_S, CAPTION_S, DRAIN_S = 180, 180, 60

say = partial(Console(highlight=False).print, soft_wrap=True)


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the service: ask it to drain, ask it to stop, then kill. Ctrl-C goes a step further."""
    for ask, wait_s in ((signal.SIGTERM, DRAIN_S), (signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        try:
            process.send_signal(ask)  # does nothing once the process has ended
            process.wait(wait_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            say("[yellow]The service has not ended yet; asking harder.[/]")
        else:
            return


@contextmanager
def service() -> Iterator[str]:
    """The address of a `captioner up` that is ready; it is ended in any case.

    Its own session keeps Ctrl-C from it, so that it can drain. Settings of the shell are kept
    from it too: a demo has no business in somebody's database.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [CAPTIONER, "up", "--model", "scenes", "--port", port, "--data-dir", str(DATA)]
    env = {key: value for key, value in os.environ.items() if not key.startswith("CAPTIONER_")}
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    with LOG.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)
    try:
        wait_until_ready(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
    if process.returncode:
        raise DemoFailed(f"the service did not end cleanly: status {process.returncode}")


def wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    """Return when `/readyz` answers 200: database, queue, and a worker that has its model."""
    deadline, reason = time.monotonic() + READY_S, "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):
            response = httpx.get(f"{address}/readyz", timeout=5)
            if response.is_success:
                return
            reason = response.text
        time.sleep(0.3)
    raise DemoFailed(f"the service ended, or was not ready after {READY_S} s: {reason}")


def captions(address: str) -> dict[str, str]:
    """File name to the caption, or the error, that the service gave."""
    command = [CAPTIONER, "caption", str(EXAMPLES), "--json", "--server", address]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=CAPTION_S, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return {
        Path(row["path"]).name: row["caption"] or f"failed: {row['error']['detail']}"
        for row in rows
    }


def show(expected: dict[str, str], given: dict[str, str]) -> bool:
    """Print picture, caption, and whether it is right. Returns whether all are."""
    wrong = {name for name, caption in expected.items() if given.get(name) != caption}
    width = max(map(len, expected))
    for name, caption in expected.items():
        mark = "[red]wrong[/]" if name in wrong else "[green]right[/]"
        say(f"  {mark}  {name:<{width}}  {given.get(name, 'no answer')}")
        if name in wrong:
            say(f"         {'':<{width}}  expected: {caption}")
    say(f"{len(expected) - len(wrong)} of {len(expected)} captions are right.")
    return not wrong


def main() -> int:
    """Run the demo; the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    expected = json.loads((EXAMPLES / "captions.json").read_text())
    started = time.monotonic()
    try:
        say("Starting the service: queue, database, API and a worker.")
        with service() as address:
            say(f"Ready at {address} after {time.monotonic() - started:.0f} s.")
            all_right = show(expected, captions(address))
    except (DemoFailed, subprocess.TimeoutExpired) as error:
        say(f"[red]The demo failed:[/] {error}. The service's log: {LOG}")
        return 1
    except KeyboardInterrupt:
        return 130
    say(f"Stopped cleanly, {time.monotonic() - started:.0f} s after the start.")
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
