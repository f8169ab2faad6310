"""Callers that keep sending pictures through a bad day, and the account of it afterwards."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests import processes
from tests.pictures import png, sure

FINAL = ("succeeded", "partial", "failed", "canceled", "expired")
DRAWN = sure(8, seed=21)
PICTURES = [png(scene) for scene in DRAWN]


@dataclass
class Load:
    """What callers saw."""

    base: str
    accepted: list[tuple[str, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    last_ok_at: float = 0.0
    first_ok_after: float | None = None
    fault_ended_at: float | None = None
    others: list[str] = field(default_factory=list)

    def note(self, n: int, answer: httpx.Response, seconds: float) -> None:
        self.statuses[answer.status_code] += 1
        self.seconds.setdefault(answer.status_code, []).append(seconds)
        if answer.status_code == 202:
            self.accepted.append((answer.headers["Location"], DRAWN[n].caption))
            if self.fault_ended_at is not None and self.first_ok_after is None:
                self.first_ok_after = time.monotonic() - self.fault_ended_at
        elif answer.status_code in (429, 503):
            assert int(answer.headers["Retry-After"]) > 0
        else:
            self.others.append(f"{answer.status_code} {answer.text[:300]}")

    def fault_ended(self) -> None:
        """Begin to measure the time to recover."""
        self.fault_ended_at, self.first_ok_after = time.monotonic(), None

    def p(self, share: float, status: int) -> float:
        """A quantile of the seconds to an answer of that status."""
        found = sorted(self.seconds.get(status, [0.0]))
        return found[min(int(share * len(found)), len(found) - 1)]


@contextmanager
def load(base: str, *, callers: int = 4, pause_s: float = 0.2) -> Iterator[Load]:
    """Callers that send one picture a job for the length of the block."""
    seen, enough = Load(base), threading.Event()

    def call(first: int) -> None:
        n = first
        with httpx.Client(base_url=base, timeout=60) as http:
            while not enough.wait(pause_s):
                n = (n + 1) % len(DRAWN)
                since = time.monotonic()
                answer = http.post("/captionImage", files=[("images", ("x.png", PICTURES[n]))])
                seen.note(n, answer, time.monotonic() - since)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        enough.set()
        for thread in threads:
            thread.join()


@dataclass(frozen=True)
class Account:
    """What became of the accepted jobs."""

    accepted: int
    lost: int
    wrong: int
    again: int
    """Images that took more than one attempt."""
    all_final_s: float


def settle(seen: Load, *, timeout_s: float = 90) -> Account:
    """Wait until every accepted job is final, and look at each."""
    since = time.monotonic()
    left, wrong, again = dict(seen.accepted), 0, 0
    with httpx.Client(base_url=seen.base, timeout=60) as http:
        while left and time.monotonic() - since < timeout_s:
            for url in list(left):
                job = http.get(url).json()
                if job["status"] not in FINAL:
                    time.sleep(0.1)
                    break
                wrong += job["result"] != [left.pop(url)]
                again += job["images"][0]["attempt"] > 1
    seconds = time.monotonic() - since
    return Account(len(seen.accepted), len(left), wrong, again, seconds)


def report(fault: str, seen: Load, account: Account) -> None:
    """One line of figures."""
    print(
        f"\n{fault}: accepted {account.accepted}, lost {account.lost}, wrong {account.wrong}, "
        f"tried again {account.again}, statuses {dict(seen.statuses)}, "
        f"202 p50/p99 {seen.p(0.5, 202):.2f}/{seen.p(0.99, 202):.2f} s, "
        f"503 p99/max {seen.p(0.99, 503):.2f}/{seen.p(1, 503):.2f} s, "
        f"first 202 after {seen.first_ok_after or 0:.1f} s, all final {account.all_final_s:.1f} s "
        "after the load",
        flush=True,
    )


def ready(base: str) -> None:
    """Wait until a caption can be had."""
    processes.until(lambda: processes.answers(f"{base}/readyz"), what="ready service")
