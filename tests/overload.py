"""Far more pictures than the service can do, for a while; and what became of each request."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx

from tests import processes
from tests.integration.calls import FINAL, files
from tests.pictures import plain

PER_REQUEST = 16
CALLERS = 8


def room_for(images: int) -> dict[str, str]:
    """Settings of a service with so much room in its queue."""
    return {
        "CAPTIONER_MAX_IMAGES": str(PER_REQUEST),
        "CAPTIONER_MAX_QUEUED": str(images),
        "CAPTIONER_MAX_QUEUED_PER_CALLER": str(images),
    }


@dataclass
class Seen:
    """What the callers saw."""

    accepted: list[str] = field(default_factory=list)
    accepted_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    without_retry_after: int = 0
    most_queued: int = 0

    @property
    def offered(self) -> int:
        """Images, all together."""
        return sum(self.statuses.values()) * PER_REQUEST

    def p99_s(self) -> float:
        """Of the requests that were accepted."""
        ordered = sorted(self.accepted_s)
        return ordered[int(0.99 * (len(ordered) - 1))]

    def note(self, response: httpx.Response) -> None:
        self.statuses[response.status_code] += 1
        if response.status_code == 202:
            self.accepted.append(response.headers["Location"])
            self.accepted_s.append(response.elapsed.total_seconds())
        elif int(response.headers.get("Retry-After", "0")) < 1:
            self.without_retry_after += 1
        if response.status_code == 429:
            self.most_queued = max(self.most_queued, response.json()["queued"])


def press(base: str, *, seconds: float, refusals: int | None = None, pause_s: float = 0.1) -> Seen:
    """Callers that do not heed Retry-After, all at once, for so long or until so many refusals."""
    seen, ends = Seen(), time.monotonic() + seconds
    lock = threading.Lock()
    body = files(*[plain()] * PER_REQUEST)

    def enough() -> bool:
        return refusals is not None and seen.statuses[429] >= refusals

    def insist(_: int) -> None:
        with httpx.Client(base_url=base, timeout=60) as client:
            while time.monotonic() < ends and not enough():
                response = client.post("/captionImage", files=body)
                with lock:
                    seen.note(response)
                time.sleep(pause_s)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(insist, range(CALLERS)))
    return seen


def done(base: str, seen: Seen, *, timeout_s: float) -> Counter[str]:
    """Wait until every accepted job is final; how they ended."""
    ends: Counter[str] = Counter()
    with httpx.Client(base_url=base, timeout=60) as client:
        for location in seen.accepted:
            processes.until(
                lambda at=location: client.get(at).json()["status"] in FINAL,
                what="end of an accepted job",
                timeout_s=timeout_s,
            )
            ends[client.get(location).json()["status"]] += 1
    return ends
