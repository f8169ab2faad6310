"""What leaves the machine for styles, and what is left in logs and messages: words, and few.

Everything that a styler is sent is recorded by the server in its place; everything that is put into
a queue, by the broker's own monitor; and Flower looks on.
"""

import base64
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from tests.gemini_server import KEY, GeminiServer, serving
from tests.integration.alone import stack as stack
from tests.integration.calls import files
from tests.integration.styling import environment
from tests.openai_server import KEY as OPENAI_KEY
from tests.openai_server import MODEL, OpenAiServer
from tests.openai_server import serving as serving_openai
from tests.pictures import encoded
from tests.processes import CAPTIONER, answers, free_port, running, service, until
from tests.stacks import Stack

CANARY = "canary-8d1f"
TONE = f"tone of a {CANARY}"
WISHES = {
    "description", "styles", "captions_per_style", "language", "emoji", "hashtags", "tone",
}  # fmt: skip
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
def openai() -> Iterator[OpenAiServer]:
    with serving_openai() as server:
        yield server


@dataclass(frozen=True)
class Run:
    """A picture that was styled by both stylers outside, and what was seen of it on the way."""

    picture: bytes
    jobs: list[str]
    monitor: Monitor
    folder: Path
    flower: bytes


@pytest.fixture(scope="module")
def run(
    stack: Stack, gemini: GeminiServer, openai: OpenAiServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:  # fmt: skip
    folder, data, port = tmp_path_factory.mktemp("privacy"), picture(), free_port()
    env = environment(
        stack, gemini, log_level="DEBUG", openai_url=openai.url, openai_key=OPENAI_KEY,
        openai_model=MODEL, data_dir=str(folder),
    )  # fmt: skip
    flower = [CAPTIONER, "flower", f"--port={port}"]
    with (
        closing(Monitor(stack.environment["CAPTIONER_REDIS_URL"])) as monitor,
        running(flower, env, log=folder / "flower.log", grace_s=2),
        service(env, folder, timeout_s=240) as base,
        httpx.Client(base_url=base, timeout=120) as http,
    ):
        until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), what="Flower")
        jobs = [styled(http, data, styler) for styler in ("gemini", "openai")]
        wrong = {"styles": f"style-{CANARY}"}
        assert http.post("/captionImage", files=files(data), data=wrong).status_code == 400
        yield Run(data, jobs, monitor, folder, shown(folder, port))


def styled(http: httpx.Client, data: bytes, styler: str) -> str:
    """The id of its job."""
    sent = [("images", (f"holiday-{CANARY}.jpg", data, "image/jpeg"))]
    fields = {"styles": "all", "style_tone": TONE, "styler": styler}
    said = http.post("/captionImageBlocking", files=sent, data=fields).json()
    assert said["styled"][0]["style_status"] == "styled"
    return str(said["id"])


def shown(folder: Path, port: int) -> bytes:
    """All that Flower shows, once it has seen both parts of the work."""
    password = (folder / "run" / "flower-password").read_text().strip()
    at = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=at, auth=("captioner", password), timeout=30) as client:

        def seen() -> bool:
            names = [task["name"] for task in client.get("/api/tasks").json().values()]
            return names.count("captioner.style") >= 2

        until(seen, what="tasks in Flower")
        tasks = client.get("/api/tasks").json()
        pages = ["/api/tasks", "/api/workers", "/tasks", "/workers", "/broker"]
        pages += [f"/api/task/info/{task}" for task in tasks] + [f"/task/{task}" for task in tasks]
        return b"\n".join(client.get(page).content for page in pages)


def pieces(data: bytes) -> list[str]:
    """Every stretch of the picture's base64 that another encoder could have made, 64 long."""
    return [
        text[n : n + 64]
        for shift in range(3)
        for text in (base64.b64encode(data[shift:]).decode(),)
        for n in range(0, len(text) - 64, 64)
    ]


def is_free_of(run: Run, sent: bytes) -> bool:
    """Whether nothing of the picture, its file or its job is in what was sent."""
    data = run.picture
    assert len(sent) < 10_000
    assert not [piece for piece in pieces(data) if piece.encode() in sent]
    assert not [n for n in range(0, len(data) - 16, 16) if data[n : n + 16] in sent]
    names = [f"{name}-{CANARY}" for name in ("make", "model", "holiday")]
    return not [name for name in (*names, "Ann Author", *run.jobs) if name.encode() in sent]


def test_gemini_is_sent_words_alone(gemini: GeminiServer, run: Run) -> None:
    assert gemini.asked
    for asked in gemini.asked:
        sent = asked.path.encode() + json.dumps(asked.headers).encode() + asked.body
        assert is_free_of(run, sent)
        assert b"inlineData" not in sent
        assert b"fileData" not in sent
        assert set(asked.wishes) == WISHES
        assert asked.headers["x-goog-api-key"] == KEY
        assert KEY not in asked.path


def test_a_server_that_speaks_openais_api_is_sent_words_alone(
    openai: OpenAiServer, run: Run
) -> None:
    assert openai.asked
    for chat, head, body in zip(openai.asked, openai.heads, openai.bodies, strict=True):
        assert is_free_of(run, json.dumps(head).encode() + body)
        assert set(chat) == {"model", "messages", "stream", "response_format"}
        assert [set(message) for message in chat["messages"]] == [{"role", "content"}] * 2
        assert set(json.loads(chat["messages"][1]["content"])) == WISHES
        assert head["Authorization"] == f"Bearer {OPENAI_KEY}"


def is_quiet(run: Run, said: str) -> bool:
    """Whether nothing of what was sent, asked and answered is in it, nor a key."""
    secrets = (CANARY, KEY, OPENAI_KEY, "You write captions", "Witty 1:")
    return not [each for each in (*secrets, *pieces(run.picture)) if each in said]


@pytest.mark.parametrize("log", ["api.log", "worker.log", "flower.log"])
def test_logs_have_no_pixels_no_wishes_and_no_key(run: Run, log: str) -> None:
    said = (run.folder / log).read_text()
    assert said
    assert is_quiet(run, said)


def test_flower_shows_ids_alone(run: Run) -> None:
    said = run.flower.decode(errors="replace")
    assert "captioner.style" in said
    assert run.jobs[0] in said
    assert is_quiet(run, said)


def test_messages_have_ids_alone(run: Run) -> None:
    monitor = run.monitor
    until(lambda: any("captioner.styles" in each[1] for each in monitor.pushed()), what="message")
    for pushed in map(" ".join, monitor.pushed()):
        assert is_quiet(run, pushed)
    queued = [each[2] for each in monitor.pushed() if each[1] == "cap:captioner.styles"]
    found = [json.loads(each.replace('\\"', '"').replace("\\\\", "\\"))["body"] for each in queued]
    told = [json.loads(base64.b64decode(body))[:2] for body in found]
    assert told == [[[job_id, [0]], {}] for job_id in run.jobs]
