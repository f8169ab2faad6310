"""What every row of the matrix promises besides its own, watched over all rows of a module.

No answer is a fault of the server; 99 of 100 come within a second; no process of the API takes
more than 100 MB for any of them; and the log has no traceback, no long line, no picture and no key.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import httpx
import psutil

from tests.abuse import raw
from tests.integration.door import Door

MOST_S = 1.0
MOST_MIB = 100
MIB = 2**20
UNREADY = "/readyz"
"""Says 503 where there is no worker, and that is right."""
ENCODED = re.compile(r"[A-Za-z0-9+/]{100}")
"""Base64, or the like: names and digests of ours are shorter."""


@dataclass
class Watch:
    """Of the API of a module, from the moment that this is made."""

    door: Door
    took_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._before = {each: each.memory_info().rss / MIB for each in self.processes()}
        for each in self._before:  # from here on, its peak is that of what is watched
            Path(f"/proc/{each.pid}/clear_refs").write_text("5", encoding="ascii")
        self.over(self.door.http)

    def processes(self) -> list[psutil.Process]:
        """Those that serve its port."""
        port = self.door.http.base_url.port

        def serves(process: psutil.Process) -> bool:
            return any(each.laddr.port == port for each in process.net_connections("tcp4"))

        found = [each for each in psutil.Process().children(recursive=True) if serves(each)]
        assert found
        return found

    def over(self, client: httpx.Client) -> httpx.Client:
        """The client, with all that it is answered watched."""
        client.event_hooks["request"].append(self._begin)
        client.event_hooks["response"].append(self._end)
        return client

    def send(self, data: bytes, *, more: bytes = b"", times: int = 0) -> raw.Answer:
        """As `raw.send`, watched."""
        answer = raw.send(str(self.door.http.base_url), data, more=more, times=times)
        self._note(answer.answered_s, max(answer.statuses, default=0), "a request of raw bytes")
        return answer

    def _begin(self, request: httpx.Request) -> None:
        request.extensions["begun"] = time.monotonic()

    def _end(self, response: httpx.Response) -> None:
        took_s = time.monotonic() - response.request.extensions["begun"]
        path = response.request.url.path
        if path != UNREADY:
            self._note(took_s, response.status_code, path)

    def _note(self, took_s: float, status: int, what: str) -> None:
        self.took_s.append(took_s)
        if status >= 500 and status != 501:  # 501: a coding that nobody knows
            self.faults.append(f"{status} of {what}")

    @property
    def p99_s(self) -> float:
        """That within which 99 of 100 answers came."""
        return sorted(self.took_s)[ceil(0.99 * len(self.took_s)) - 1]

    @property
    def grown_mib(self) -> float:
        """The most that one process took at once, above what it had at first."""
        return max(peak_mib(each.pid) - before for each, before in self._before.items())

    def check(self, *secrets: str) -> None:
        """Hold all that was watched to what is promised. The secrets must not be in the log."""
        print(f"\n{len(self.took_s)} answers, p99 {self.p99_s:.3f} s, {self.grown_mib:.0f} MiB")
        assert self.faults == []
        assert set(self.processes()) == set(self._before), "one was lost"
        assert self.p99_s <= MOST_S
        assert self.grown_mib <= MOST_MIB
        check_log(self.door.log, secrets)


def check_log(path: Path, secrets: Sequence[str]) -> None:
    """Nothing is in the log that may not be."""
    log = path.read_text(encoding="utf-8", errors="replace")
    assert log
    assert "Traceback" not in log
    assert [each for each in secrets if each in log] == []
    assert ENCODED.findall(log) == []
    assert max(map(len, log.splitlines())) <= 4_000


def peak_mib(pid: int) -> float:
    """The most that a process held since it began, or since its peak was reset."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 1024
