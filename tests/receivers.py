"""A real HTTP receiver of webhooks, in a thread, that keeps what it got."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

from standardwebhooks import Webhook, WebhookVerificationError

from captioner.webhooks.secret import new_secret

SECRET = new_secret()
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Received:
    """One POST, as it came, and whether it was answered with 2xx."""

    path: str
    headers: dict[str, str]
    body: bytes
    taken: bool

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Checks each signature as it comes, while its time is fresh, and answers by the list."""

    url: str
    secrets: list[str]
    answers: Iterator[int | Answer]
    received: list[Received] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    """Why the specification's library refused a message."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def taken(self) -> list[Received]:
        return [each for each in self.received if each.taken]

    @property
    def ids(self) -> set[str]:
        return {each.id for each in self.received}

    def verify(self, headers: dict[str, str], body: bytes) -> None:
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, headers)
            except WebhookVerificationError as error:
                self.bad.append(str(error))


def says(status: int, *headers: tuple[str, str]) -> Answer:
    """An answer without a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (*headers, ("Content-Length", "0")):
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def sleeps(seconds: float) -> Answer:
    """Answers late, with 200."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        says(200)(handler)

    return answer


def drips(handler: BaseHTTPRequestHandler) -> None:
    """200 at once, and then a body that never ends."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b".")
        handler.wfile.flush()
        time.sleep(0.1)


@contextmanager
def receiver(
    *answers: int | Answer,
    secrets: Iterable[str] = (SECRET,),
    then: int | Answer = 200,
    port: int = 0,
) -> Iterator[Receiver]:
    """Gives these answers in turn, and then `then` for ever."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    found = Receiver(url, list(secrets), chain(answers, repeat(then)))
    server.receiver = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Hands each POST to the receiver of its server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        with receiver.lock:
            answer = next(receiver.answers)
            receiver.verify(headers, body)
            taken = not isinstance(answer, int) or 200 <= answer < 300
            receiver.received.append(Received(self.path, headers, body, taken))
        try:
            (says(answer) if isinstance(answer, int) else answer)(self)
        except OSError:
            self.close_connection = True  # the sender has gone

    def log_message(self, *_: object) -> None:
        pass
