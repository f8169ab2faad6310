"""Run by `test_a_disk_that_is_really_full` on a file system of 3 MiB: says what each store does."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy import text

from captioner import schema
from captioner.blobs import BlobStore
from captioner.database import Database
from captioner.errors import CaptionerError
from tests.integration.conftest import settings_of
from tests.stacks import Stack


def main(folder: Path) -> None:
    url = f"sqlite:///{folder / 'small.db'}"
    schema.upgrade(settings_of(Stack("own", {"CAPTIONER_DATABASE_URL": url})))
    database, blobs = Database(url), BlobStore(f"file://{folder}/blobs")

    def write() -> str:
        with database.write() as session:
            session.execute(text("CREATE TABLE IF NOT EXISTS t (a blob)"))
            session.execute(text("INSERT INTO t VALUES (randomblob(200000))"))
        return "written"

    def read() -> str:
        with database.read() as session:
            return f"{session.scalar(text('SELECT count(*) FROM t'))} rows"

    def put() -> str:
        data = os.urandom(200_000)
        assert blobs.get(blobs.put(data)) == data
        return "stored"

    def told() -> str:
        found = []
        for call in (write, read, put):
            try:
                found.append(call())
            except CaptionerError as error:
                found.append(error.code)
        return ", ".join(found)

    print(told())
    fill = folder / "fill"
    with fill.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))
    print(told())
    print(len(list(folder.rglob("*.part"))), "parts")
    fill.unlink()
    print(told())


main(Path(sys.argv[1]))
