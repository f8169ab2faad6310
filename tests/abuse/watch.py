"""What every row of the matrix promises besides its own, watched over all rows of a module.

No answer is a fault of the server; 99 of 100 come within a second; no process of the API takes
more than 100 MB for any of them; and the log has no traceback, no long line, no picture and no key.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.abuse import raw
from tests.integration.access import Guarded, guarded
from tests.integration.calls import files
from tests.integration.door import Door
from tests.pictures import plain
from tests.stacks import Stack

MOST_S = 1.0
MOST_MIB = 100e6 / 2**20
MIB = 2**20
AWAY = ("/readyz", "/api/admin/reset-cache")
"""They say 503 where there is no worker, and no cache, and that is right."""
NO_FAULTS = (501, 505)
"""A coding, or a version of HTTP, that nobody knows."""
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
        if path not in AWAY:
            self._note(took_s, response.status_code, path)

    def _note(self, took_s: float, status: int, what: str) -> None:
        self.took_s.append(took_s)
        if status >= 500 and status not in NO_FAULTS:
            self.faults.append(f"{status} of {what}")

    @property
    def p99_s(self) -> float:
        """That within which 99 of 100 answers came; all but one, of fewer than that."""
        return sorted(self.took_s)[int(0.99 * len(self.took_s)) - 1]

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


@dataclass
class Watched(Guarded):
    """An API that asks for keys, with all that its clients are answered watched."""

    watch: Watch
    keys: list[str] = field(default_factory=list)

    def key(self, owner: str, *scopes: str, **more: object) -> str:
        """As of any; and the log must have neither it nor its secret part."""
        key = super().key(owner, *scopes, **more)  # type: ignore[arg-type]
        self.keys += [key, key[12:]]
        return key

    def client(self, key: str | None = None) -> httpx.Client:
        """As of any."""
        return self.watch.over(super().client(key))

    def check(self, *secrets: str) -> None:
        """As of a `Watch`, of which all keys are secrets."""
        self.watch.check(*self.keys, *secrets)


@contextmanager
def watched(stack: Stack, folder: Path, **changes: str) -> Iterator[Watched]:
    """As `guarded`, watched from when it has answered some requests."""
    with guarded(stack, folder, **changes) as api:
        header = {"Authorization": f"Bearer {api.key('first')}"}
        for _ in range(20):  # each on a connection of its own, so that each process has some
            httpx.post(f"{api.url}/captionImage", files=files(plain()), headers=header)
            httpx.get(f"{api.url}/captionImage", headers=header)
        yield Watched(api.door, api.url, Watch(api.door))


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
