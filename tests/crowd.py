"""Many clients at once, on plain sockets and one thread, so that they cost the test little."""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from captioner import jobs
from captioner.database import Database
from captioner.wakeups import Herald
from captioner.work import Outcome
from tests import processes
from tests.pictures import plain

TURN_S = 0.1
LISTENING = "0A"
"""In /proc/net/tcp, where a socket that no process holds any more has the inode 0."""


@dataclass
class Client:
    """One connection, and what came of it."""

    sock: socket.socket
    began: float = field(default_factory=time.monotonic)
    answer: bytes = b""
    first_after_s: float | None = None
    closed_after_s: float | None = None

    @property
    def status(self) -> int:
        """Of the answer; 0 where none came."""
        return int(self.answer.split(b" ", 2)[1]) if self.answer else 0

    @property
    def body(self) -> dict:
        return json.loads(self.answer.partition(b"\r\n\r\n")[2])

    def read(self) -> None:
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.answer += data
            self.first_after_s = self.first_after_s or time.monotonic() - self.began
        else:
            self.end()

    def send(self, data: bytes) -> None:
        try:
            self.sock.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.end()

    def end(self) -> None:
        self.closed_after_s = time.monotonic() - self.began
        self.sock.close()


def connect(base: str, count: int, first: bytes, *, buffer_bytes: int = 0) -> list[Client]:
    """So many connections, each with its first bytes sent."""
    address = urlsplit(base).hostname, urlsplit(base).port
    clients = []
    for _ in range(count):
        sock = socket.socket()
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.connect(address)
        sock.sendall(first)
        sock.setblocking(False)
        clients.append(Client(sock))
    return clients


def read_to_the_end(clients: Sequence[Client], *, timeout_s: float) -> None:
    """Read until the server has closed all of them, or time is up."""
    deadline = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.sock, selectors.EVENT_READ, client)
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(TURN_S):
                sock = key.data.sock
                key.data.read() if key.data.closed_after_s is None else None
                if key.data.closed_after_s is not None:
                    selector.unregister(sock)


def drip(clients: Sequence[Client], *, timeout_s: float) -> None:
    """Each sends 10 bytes a second, until the server has closed all of them, or time is up."""
    in_turns(clients, lambda client: (client.send(b"a"), client.read()), timeout_s=timeout_s)


def sip(clients: Sequence[Client], *, timeout_s: float) -> None:
    """Each reads 10 bytes a second, until the server has closed all of them, or time is up."""

    def one(client: Client) -> None:
        try:
            client.sock.recv(1)
        except BlockingIOError:
            pass
        except OSError:
            client.end()

    in_turns(clients, one, timeout_s=timeout_s)


def in_turns(
    clients: Sequence[Client], act: Callable[[Client], object], *, timeout_s: float
) -> None:
    deadline = time.monotonic() + timeout_s
    while (left := [c for c in clients if c.closed_after_s is None]) and (
        time.monotonic() < deadline
    ):
        began = time.monotonic()
        for client in left:
            act(client)
        time.sleep(max(0.0, TURN_S - (time.monotonic() - began)))


def close(clients: Sequence[Client]) -> None:
    for client in clients:
        client.sock.close()


def post(path: str, *, accept: str = "*/*") -> bytes:
    """A picture as a form, for an answer after which the connection is closed."""
    request = httpx.Request(
        "POST", f"http://captioner{path}", files=[("images", ("a.png", plain()))]
    )
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n"
    for name in ("Content-Type", "Content-Length"):
        head += f"{name}: {request.headers[name]}\r\n"
    return head.encode() + b"\r\n" + request.read()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def open_form(path: str) -> bytes:
    """A form whose file has begun: more of it than is gathered, and no end in sight."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    )
    return head.encode() + bytes(70_000)


def get_to_the_end_of_time(path: str) -> bytes:
    """Headers that go on and on."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".encode()


@contextmanager
def api(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[str, int]]:
    """The address and the process id of an API without workers."""
    port = processes.free_port()
    env = {**environment, "CAPTIONER_MODEL": "scenes", "CAPTIONER_MODELS": "scenes"}
    command, log = [processes.CAPTIONER, "api"], folder / "api.log"
    with processes.running(command, {**env, "CAPTIONER_PORT": str(port)}, log=log) as process:
        base = f"http://127.0.0.1:{port}"
        processes.until(lambda: processes.answers(f"{base}/healthz"), what=f"API (see {log})")
        yield base, process.pid


def finish(database: Database, herald: Herald, count: int, *, caption: str = "a caption") -> int:
    """What a worker does, without a model: so many images get this caption."""
    with database.write() as session:
        claims = jobs.claim(
            session,
            model="scenes",
            limit=count,
            worker="w",
            lease_s=60,
            max_attempts=3,
            retry_s=3600,
        )
        changed = jobs.finish(session, [Outcome(claim, caption=caption) for claim in claims])
    herald.announce(changed)
    return len(claims)


def children(pid: int) -> list[int]:
    """The API's processes, which serve."""
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def threads(pid: int) -> int:
    return sum(len(list(Path(f"/proc/{child}/task").iterdir())) for child in children(pid))


def connections(base: str) -> int:
    """How many connections the API has open at its end."""
    port = f":{urlsplit(base).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    held = [row for row in rows if row[1].endswith(port) and row[3] != LISTENING and row[9] != "0"]
    return len(held)


def memory_bytes(pid: int) -> int:
    """Resident, of all of them together."""
    texts = [Path(f"/proc/{child}/status").read_text() for child in children(pid)]
    return sum(int(text.split("VmRSS:")[1].split()[0]) * 1024 for text in texts)
