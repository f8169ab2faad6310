"""What leaves the machine for styles, and what is left in logs and messages: words, and few.

Everything that a styler is sent is recorded by the server in its place; everything that is put into
a queue, by the broker's own monitor.
"""

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests.gemini_server import KEY, GeminiServer, serving
from tests.integration.alone import stack as stack
from tests.integration.calls import files
from tests.integration.styling import environment
from tests.pictures import encoded
from tests.processes import service, until
from tests.stacks import Stack

CANARY = "canary-8d1f"
TONE = f"tone of a {CANARY}"
PUSHES = ("LPUSH", "RPUSH", "HSET", "ZADD")


def picture() -> bytes:
    """Noise, so that no two pieces of its file are alike, with names in its metadata."""
    noise = Image.effect_noise((160, 120), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B] = f"make-{CANARY}", f"model-{CANARY}", "Ann Author"
    return encoded(noise, "JPEG", exif=exif, quality=90)


class Monitor:
    """What is written into the broker, as it says itself (MONITOR)."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        place = urlsplit(url)
        self._socket = socket.create_connection((place.hostname, place.port), timeout=10)
        self._socket.sendall(b"MONITOR\r\n")
        assert self._socket.recv(5) == b"+OK\r\n"
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with suppress(OSError), self._socket.makefile("rb") as said:
            self.lines.extend(line.decode("utf-8", "replace") for line in said)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def pushed(self) -> list[list[str]]:
        """The commands that write into queues, each with its arguments."""
        split = [re.findall(r'"((?:[^"\\]|\\.)*)"', line) for line in self.lines]
        return [command for command in split if command and command[0].upper() in PUSHES]


@pytest.fixture(scope="module")
def gemini() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def run(
    stack: Stack, gemini: GeminiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[bytes, str, Monitor, Path]]:
    """One picture through all of it: the picture, its job, the broker's monitor and the logs."""
    folder, data = tmp_path_factory.mktemp("privacy"), picture()
    env = environment(stack, gemini, log_level="DEBUG")
    with (
        closing(Monitor(stack.environment["CAPTIONER_REDIS_URL"])) as monitor,
        service(env, folder, timeout_s=240) as base,
        httpx.Client(base_url=base, timeout=120) as http,
    ):
        sent = [("images", (f"holiday-{CANARY}.jpg", data, "image/jpeg"))]
        fields = {"styles": "all", "style_tone": TONE}
        said = http.post("/captionImageBlocking", files=sent, data=fields).json()
        assert said["styled"][0]["style_status"] == "styled"
        wrong = {"styles": f"style-{CANARY}"}
        assert http.post("/captionImage", files=files(data), data=wrong).status_code == 400
        yield data, said["id"], monitor, folder


def pieces(data: bytes) -> list[str]:
    """Every stretch of the picture's base64 that another encoder could have made, 64 long."""
    return [
        text[n : n + 64]
        for shift in range(3)
        for text in (base64.b64encode(data[shift:]).decode(),)
        for n in range(0, len(text) - 64, 64)
    ]


def test_the_styler_is_sent_words_alone(
    gemini: GeminiServer, run: tuple[bytes, str, Monitor, Path]
) -> None:
    data, job_id, _, _ = run
    assert gemini.asked
    for asked in gemini.asked:
        sent = asked.path.encode() + json.dumps(asked.headers).encode() + asked.body
        assert len(sent) < 10_000
        assert not [piece for piece in pieces(data) if piece.encode() in sent]
        assert not [n for n in range(0, len(data) - 16, 16) if data[n : n + 16] in sent]
        assert f"make-{CANARY}".encode() not in sent
        assert f"model-{CANARY}".encode() not in sent
        assert f"holiday-{CANARY}".encode() not in sent
        assert b"Ann Author" not in sent
        assert job_id.encode() not in sent
        assert b"inlineData" not in sent
        assert b"fileData" not in sent
        assert set(asked.wishes) == {
            "description", "styles", "captions_per_style", "language", "emoji", "hashtags", "tone"
        }  # fmt: skip
        assert asked.headers["x-goog-api-key"] == KEY
        assert KEY not in asked.path


def test_logs_have_no_pixels_no_wishes_and_no_key(
    gemini: GeminiServer, run: tuple[bytes, str, Monitor, Path]
) -> None:
    data, _, _, folder = run
    for log in ("api.log", "worker.log"):
        said = (folder / log).read_text()
        assert said
        assert CANARY not in said
        assert KEY not in said
        assert "You write captions" not in said
        assert "Witty 1:" not in said
        assert not [piece for piece in pieces(data) if piece in said]


def test_messages_have_ids_alone(
    gemini: GeminiServer, run: tuple[bytes, str, Monitor, Path]
) -> None:
    data, job_id, monitor, _ = run
    until(lambda: any("captioner.styles" in each[1] for each in monitor.pushed()), what="message")
    for pushed in map(" ".join, monitor.pushed()):
        assert CANARY not in pushed
        assert KEY not in pushed
        assert "You write captions" not in pushed
        assert "Witty 1:" not in pushed
        assert not [piece for piece in pieces(data) if piece in pushed]
    queued = [each[2] for each in monitor.pushed() if each[1] == "cap:captioner.styles"]
    body = json.loads(queued[0].replace('\\"', '"').replace("\\\\", "\\"))["body"]
    assert json.loads(base64.b64decode(body))[:2] == [[job_id, [0]], {}]
