"""How much of a request must be here before a thread begins with it."""

import re
import time

HEAD_S = 10.0
"""For the request line and the headers."""
BODY_S = 15.0
"""For the body, or for as much of it as a thread waits for; see `MIN_BYTES`."""
MIN_BYTES = 15 * 1024
"""Of a longer body, this must have come within `BODY_S`."""
ENOUGH_BYTES = 64 * 1024
"""A request of which so much is here gets a thread, which reads the rest."""
END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,18})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
CHUNKED = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
EXPECTS = re.compile(rb"^expect:", re.IGNORECASE | re.MULTILINE)
ASKS_FIRST = re.compile(rb"^expect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE | re.MULTILINE)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OLD = b" HTTP/1.0\r\n"
"""The end of a request line whose sender knows no such answer."""


class Arrival:
    """What has come of one request. It judges nothing: that is for gunicorn's parser."""

    def __init__(self, data: bytes, *, max_body_bytes: int) -> None:
        self.data = bytearray(data)
        self._max_body_bytes = max_body_bytes
        self._body_at: int | None = None
        self._total: int | None = None
        self.began = self._deadline_from = time.monotonic()
        self._asks_first = False
        self._look()

    def add(self, data: bytes) -> None:
        """More of it came."""
        self.data += data
        self._look()

    def answer_due(self) -> bytes:
        """What to tell a client that asked whether to send its body; empty where nothing is due.

        It is told here, and not by a thread, which would wait for what it then sends.
        """
        asks, self._asks_first = self._asks_first, False
        return CONTINUE if asks and not self.is_enough else b""

    @property
    def is_enough(self) -> bool:
        """Whether a thread can begin with it, without waiting for a slow client."""
        if len(self.data) >= ENOUGH_BYTES:
            return True
        if self._body_at is None:
            return False
        if self._total is None:  # chunked: no one knows where it ends, but it ends like this
            return len(self.data) > self._body_at and self.data.endswith(END_OF_HEAD)
        return len(self.data) >= self._total

    def is_overdue(self, now: float) -> bool:
        """Whether its time is up."""
        return now - self._deadline_from > (HEAD_S if self._body_at is None else BODY_S)

    @property
    def came_steadily(self) -> bool:
        """Whether, when its time is up, a thread may go on waiting for the rest."""
        return self._body_at is not None and len(self.data) - self._body_at >= MIN_BYTES

    def _look(self) -> None:
        if self._body_at is not None or (at := self.data.find(END_OF_HEAD)) < 0:
            return
        self._body_at = at + len(END_OF_HEAD)
        self._deadline_from = time.monotonic()
        head = bytes(self.data[: self._body_at])
        length = LENGTH.search(head)
        bytes_said = int(length[1]) if length else 0
        if bytes_said > self._max_body_bytes:
            bytes_said = 0  # it is for a thread to answer, before there is a body
        elif EXPECTS.search(head):
            head = self._without_question(head)
            bytes_said = 0 if EXPECTS.search(head) else bytes_said
        if CHUNKED.search(head) and not EXPECTS.search(head):
            self._total = None
            return
        self._total = self._body_at + bytes_said

    def _without_question(self, head: bytes) -> bytes:
        """The head as it is handed on. What it expects else is for gunicorn to refuse."""
        if OLD in head.split(b"\n", 1)[0] + b"\n":
            return head
        asked, times = ASKS_FIRST.subn(b"", head)
        self._asks_first = times > 0
        self.data[: self._body_at] = asked
        self._body_at = len(asked)
        return asked
