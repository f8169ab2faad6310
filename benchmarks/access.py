"""What the guard costs a request: processor time and statements, in one process, without sockets.

The same request is made with keys off, with keys on, and with a rate limit besides, and of an
application whose guard and headers are taken out, in turns. Of each, the quickest round counts:
what else the machine does makes a round slower, and never quicker.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from flask import Flask, g
from sqlalchemy import event

from api.app import create_app
from benchmarks.report import heading, keep
from captioner import schema
from captioner.access import book
from captioner.access.callers import ANYBODY
from captioner.services import Services
from captioner.settings import Settings
from models import Scope
from tests import stacks
from tests.pictures import plain

ROUNDS, REQUESTS = (2, 20) if "--short" in sys.argv else (30, 100)
WAYS: dict[str, dict[str, str]] = {
    "no guard": {"auth": "off"},
    "keys off": {"auth": "auto"},
    "keys on": {"auth": "required"},
    "keys on, a rate limit": {"auth": "required", "rate_limit": "1000000/minute"},
}


@dataclass
class Way:
    """An application, the key that it wants, a job to look at, and its statements."""

    app: Flask
    headers: dict[str, str]
    job: str
    statements: list[str]

    def look_us(self) -> float:
        """Microseconds of processor time for looking at a job, of several looks."""
        client = self.app.test_client()
        began = time.process_time()
        for _ in range(REQUESTS):
            answer = client.get(self.job, headers=self.headers)
            assert answer.status_code == 200
        return (time.process_time() - began) / REQUESTS * 1e6

    def counted(self, method: str) -> int:
        """Statements of the second of two such requests: the first may look the key up."""
        client = self.app.test_client()
        for _ in range(2):
            self.statements.clear()
            if method == "GET":
                answer = client.get(self.job, headers=self.headers)
            else:
                answer = client.post("/captionImage", headers=self.headers, data=pictures())
            assert answer.status_code in (200, 202), answer.text
        return len(self.statements)


@contextmanager
def way(name: str, stack: stacks.Stack) -> Iterator[Way]:
    """One of the applications, on a stack that they share."""
    environment = {k.removeprefix("CAPTIONER_").lower(): v for k, v in stack.environment.items()}
    services = Services(Settings(**environment, model="scenes", **WAYS[name]))
    app, said = create_app(services), list[str]()
    if name == "no guard":
        app.before_request_funcs.clear()
        app.after_request_funcs.pop(None)
        app.before_request(_let_all_in)
    event.listen(services.database.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    with services.database.write() as session:
        _, key = book.create(session, owner="a", scopes={Scope.SUBMIT, Scope.READ})
    headers = {"Authorization": f"Bearer {key}"}
    posted = app.test_client().post("/captionImage", headers=headers, data=pictures())
    yield Way(app, headers, posted.headers["Location"], said)
    services.close()


def _let_all_in() -> None:
    g.caller = ANYBODY


def pictures() -> dict[str, object]:
    """A form with one picture."""
    return {"images": (BytesIO(plain()), "a.png")}


def main() -> None:
    """Measure, print and keep."""
    text = heading(
        "What the guard costs", {"rounds": ROUNDS, "requests": REQUESTS}, more=("flask",)
    )
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        stack = opened.enter_context(stacks.started("sqlite-valkey", folder))
        schema.upgrade(Settings(database_url=stack.database_url))
        ways = {name: opened.enter_context(way(name, stack)) for name in WAYS}
        for each in ways.values():
            each.look_us()  # warm
        turns = [{name: each.look_us() for name, each in ways.items()} for _ in range(ROUNDS)]
        text += f"{'':24}GET, least processor time    statements of GET, of POST\n"
        bare = min(turn["no guard"] for turn in turns)
        for name, each in ways.items():
            more = min(turn[name] for turn in turns) - bare
            look, post = each.counted("GET"), each.counted("POST")
            told = f"{bare:5.0f} us" if name == "no guard" else f"{more:+5.0f} us"
            text += f"{name:24}{told:28} {look:3} {post:9}\n"
    keep("access", text.rstrip())


if __name__ == "__main__":
    main()
