"""One row of the matrix on a stand: its own pictures, its own verdict, its line in the table."""

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import pytest

from captioner.settings import Settings
from tests.faults import audit, drawn, witness
from tests.faults.audit import Verdict
from tests.faults.drawn import Order
from tests.faults.fleet import Slot
from tests.faults.report import Row
from tests.faults.stand import Stand
from tests.faults.watch import Job, is_final, result_of
from tests.processes import until

_numbers = itertools.count(1_000_000)
"""Of pictures: no two rows share one."""
SETTLE_S = 60.0
RECEIVED = "Task captioner.caption"


@dataclass
class Crew:
    """Posts jobs to a stand and keeps account of them."""

    stand: Stand
    accepted: dict[str, tuple[int, ...]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    results: dict[str, list] = field(default_factory=dict)
    """Results that may not change any more."""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))
    """One for all calls: each makes certificates ready, which takes longer than a call."""

    def post(self, *wanted: Order) -> str:
        """One job with a new picture for each order; its address."""
        numbers = tuple(itertools.islice(_numbers, len(wanted)))
        self.orders |= dict(zip(numbers, wanted, strict=True))
        files = [
            ("images", (f"{n}.png", drawn.png(n, order)))
            for n, order in zip(numbers, wanted, strict=True)
        ]
        answer = self.http.post(f"{self.stand.base}/captionImage", files=files)
        assert answer.status_code == 202, answer.text
        url: str = answer.headers["Location"]
        self.accepted[url] = numbers
        return url

    def job(self, url: str) -> Job:
        found: Job = self.http.get(f"{self.stand.base}{url}").raise_for_status().json()
        return found

    def open_jobs(self) -> list[str]:
        return [url for url in self.accepted if not is_final(self.job(url))]

    def settle(self, timeout_s: float = SETTLE_S) -> float:
        """Wait until every job is final. Returns how long that took, in seconds."""
        started = time.monotonic()
        waiting = [url for url in self.accepted if url not in self.results]
        while waiting and time.monotonic() < started + timeout_s:
            if is_final(job := self.job(waiting[-1])):
                self.results[waiting.pop()] = result_of(job)
            else:
                time.sleep(0.1)
        return time.monotonic() - started

    def verdict(self) -> Verdict:
        """What has become of all that was posted, and how often each picture was run."""
        jobs = {url: self.job(url) for url in self.accepted}
        verdict = audit.judge(
            jobs, accepted=self.accepted, first_results=self.results, orders=self.orders
        )
        runs = self.runs()
        verdict.runs, verdict.most_runs = sum(runs.values()), max(runs.values(), default=0)
        return verdict

    def runs(self) -> Counter[int]:
        """How often each picture was given to an engine, by its number."""
        seen = witness.runs(self.stand.witness_file)
        return Counter({n: seen[mark_of(n, order)] for n, order in self.orders.items()})

    def begun(self, number: int, *, batch: int = 1, times: int = 1) -> int | None:
        """The process that has the picture in a batch of so many, for the so-manieth time."""
        file = self.stand.witness_file
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        mark = mark_of(number, self.orders[number])
        pids = [int(pid) for name, pid, _, size in lines if name == mark and int(size) >= batch]
        return pids[-1] if len(pids) >= times else None

    def see(self, number: int, *, batch: int = 1, times: int = 1) -> int:
        """Wait for that, and return the process."""
        until(
            lambda: self.begun(number, batch=batch, times=times) is not None,
            what=f"batch of {batch} with picture {number} (see {self.stand.folder})",
        )
        pid = self.begun(number, batch=batch, times=times)
        assert pid is not None
        return pid

    def holder(self, pid: int) -> Slot:
        """Whose process it is."""
        (slot,) = (slot for slot in self.stand.workers if slot.pid == pid)
        return slot

    def row(self, fault: str, count: int, seconds: float, verdict: Verdict) -> Row:
        """The line of the table; also printed, with what it does not hold."""
        row = Row(
            "matrix", fault, count, verdict.images, len(verdict.lost), len(verdict.duplicated),
            len(verdict.wrong), len(self.stand.fleet.surprises()), verdict.extra_runs,
            f"{seconds:.1f}",
        )  # fmt: skip
        print(f"\n{row}, most runs of one picture {verdict.most_runs}", flush=True)
        return row


def faultless(verdict: Verdict) -> bool:
    """Nothing lost, doubled or wrong. AssertionError: what is."""
    assert (verdict.lost, verdict.duplicated, verdict.wrong) == ([], [], [])
    return True


def mark_of(number: int, order: Order) -> str:
    return drawn.mark(drawn.pixels(number, order))


def id_of(url: str) -> UUID:
    return UUID(url.rsplit("/", 1)[1])


def forms(name: str, short: int, full: int) -> pytest.MarkDecorator:
    """A test in two sizes: a short one for every change, and the matrix's own number."""
    return pytest.mark.parametrize(name, [short, pytest.param(full, marks=pytest.mark.long)])


LIVELY = {
    "CAPTIONER_LEASE_S": "4",
    "CAPTIONER_HEARTBEAT_S": "1",
    "CAPTIONER_RECONCILE_S": "1",
    "CAPTIONER_HANG_S": "60",
}
"""Settings under which what is lost is soon missed."""


def settings_of(stand: Stand) -> Settings:
    """As the stand's processes have them."""
    witness.register_entry(stand.witness_file)
    given = {k.removeprefix("CAPTIONER_").lower(): v for k, v in stand.settings.items()}
    return Settings(_env_file=None, **{k: v for k, v in given.items() if k != "pythonpath"})


def deliveries(stand: Stand) -> int:
    """How often a worker took a message of work from the broker."""
    logs = [path.read_text(errors="replace") for path in stand.folder.glob("worker*.log")]
    return sum(text.count(RECEIVED) for text in logs)


def bent(stand: Stand, options: Mapping[str, Sequence[str]]) -> list[Slot]:
    """Replace the stand's workers by bent ones: name to the options of each."""
    for slot in stand.workers:
        slot.end()
        stand.fleet.slots.remove(slot)
    module = (sys.executable, "-P", "-m", "tests.faults.bent_worker", str(stand.witness_file))
    return [
        stand.fleet.add(name, [*module, *given], stand.settings, log=stand.folder / f"{name}.log")
        for name, given in options.items()
    ]


Tell = Callable[[list[Row]], None]
