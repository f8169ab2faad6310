"""Keys for tests, and clients that show them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from captioner.access import book
from models import Scope
from tests.integration.door import Door, opened
from tests.stacks import Stack


@dataclass
class Guarded:
    """An API that asks for keys, without workers."""

    door: Door
    url: str

    def key(
        self, owner: str, *scopes: str, expires_at: datetime | None = None, note: str | None = None
    ) -> str:
        """A new key; of no scope, with `submit` and `read`."""
        given = {Scope(scope) for scope in scopes or ("submit", "read")}
        with self.door.database.write() as session:
            _, key = book.create(
                session, owner=owner, scopes=given, expires_at=expires_at, note=note
            )
        return key

    def client(self, key: str | None = None) -> httpx.Client:
        """A client that shows this key with every call."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, timeout=60, headers=headers)

    def revoke(self, key: str) -> None:
        with self.door.database.write() as session:
            assert book.revoke(session, key) is not None


@contextmanager
def guarded(stack: Stack, folder: Path, **changes: str) -> Iterator[Guarded]:
    with opened(stack, folder, **{"auth": "required", **changes}) as door:
        yield Guarded(door, str(door.http.base_url))


def told(answer: httpx.Response, job_id: str) -> tuple[dict, dict]:
    """All that a problem says, but for what differs with every request."""
    body = answer.json()
    del body["request_id"]
    body["detail"] = body["detail"].replace(job_id, "ID")
    names = ("content-length", "date", "x-request-id")
    return body, {k: v for k, v in answer.headers.items() if k not in names}
