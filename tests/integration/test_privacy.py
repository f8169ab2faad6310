"""No pixel, prompt, name, key or secret leaves by a log, by the broker, or by Flower.

Canaries are put wherever a client may put something, in what is right and in what is not, and then
looked for at debug level in all that the parts have written, sent and shown, decoded too.
"""

import base64
import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from PIL import Image

from captioner.logs import MAX_BYTES
from captioner.webhooks.secret import new_secret
from tests.empty import emptied
from tests.integration.calls import files, finished
from tests.picture_server import PictureServer, serving
from tests.pictures import b64, encoded, plain
from tests.processes import CAPTIONER, answers, free_port, running, service, until
from tests.receivers import receiver
from tests.stacks import Stack

PROMPT = "a canary prompt 5d0f"
NAME = "canary-name-91c2.png"
EXIF = "canary-exif-77ab"
KEY = "capkey-3f8e-canary"
QUERY = "X-Amz-Signature=canary60be"
FORGED = "2026-01-01 00:00:00 CRITICAL canary: forged"
SECRET = new_secret()
ENCODED = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def noise() -> bytes:
    """A picture of which no piece is like another, with something in its EXIF data."""
    drawn = Image.frombytes("RGB", (96, 96), random.Random(33).randbytes(96 * 96 * 3))
    exif = Image.Exif()
    exif[0x010F], exif[0x9286] = EXIF, EXIF
    return encoded(drawn, "JPEG", quality=95, exif=exif)


PICTURE = noise()
CANARIES = {
    "prompt": PROMPT.encode(),
    "file name": NAME.encode(),
    "EXIF": EXIF.encode(),
    "key": KEY.encode(),
    "signed query": QUERY.encode(),
    "webhook secret": SECRET.removeprefix("whsec_").encode(),
    "base64 of the picture": b64(PICTURE)[3_000:3_064].encode(),
    "bytes of the picture": PICTURE[3_000:3_032],
    "bytes, as Python shows them": repr(PICTURE[3_000:3_016])[2:-1].encode(),
}


@dataclass
class Heard:
    """All that went through the broker, as its MONITOR tells it."""

    lines: list[bytes] = field(default_factory=list)

    @property
    def said(self) -> bytes:
        return b"\n".join(list(self.lines))


@contextmanager
def monitored(url: str) -> Iterator[Heard]:
    """Every command that a Redis gets in the block."""
    at, heard = urlsplit(url), Heard()
    with socket.create_connection((str(at.hostname), int(at.port or 6379))) as connection:
        connection.sendall(b"MONITOR\r\n")
        stream = connection.makefile("rb")

        def listen() -> None:
            for line in stream:
                heard.lines.append(line)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield heard
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            thread.join()


def seen_in(text: bytes) -> list[str]:
    """The canaries in a text, or in whatever base64 in it says."""
    decoded = b"\n".join(_decoded(match) for match in ENCODED.findall(text))
    unescaped = text.replace(b"\\\\", b"\\").replace(b'\\"', b'"')
    return [
        name
        for name, canary in CANARIES.items()
        if any(canary in each for each in (text, unescaped, decoded))
    ]


def _decoded(piece: bytes) -> bytes:
    return base64.b64decode(piece[: len(piece) - len(piece) % 4])


def test_a_canary_would_be_seen() -> None:
    message = json.dumps({"body": base64.b64encode(f"['{PROMPT}']".encode()).decode()})

    assert seen_in(message.encode()) == ["prompt"]
    assert seen_in(json.dumps({"image": b64(PICTURE)}).encode()) == [
        "EXIF",
        "base64 of the picture",
        "bytes of the picture",
    ]
    assert seen_in(repr(PICTURE).encode()) == ["EXIF", "bytes, as Python shows them"]


@dataclass(frozen=True)
class Place:
    """A service at debug level that may fetch pictures and send webhooks on this machine."""

    environment: dict[str, str]
    folder: Path
    host: PictureServer


@pytest.fixture
def place(stack: Stack, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "data"
    folder.mkdir()
    with emptied(stack, tmp_path) as own, serving() as host:
        yield Place(
            {
                **own.environment,
                "CAPTIONER_DATA_DIR": str(folder),
                "CAPTIONER_LOG_LEVEL": "DEBUG",
                "CAPTIONER_LOG_FORMAT": "json",
                "CAPTIONER_MODEL": "scenes",
                "CAPTIONER_MODELS": "scenes",
                "CAPTIONER_CACHE_TTL_S": "3600",
                "CAPTIONER_MAX_PROMPT_CHARS": "200",
                "CAPTIONER_WEBHOOK_SECRETS": SECRET,
                "CAPTIONER_WEBHOOK_SCHEDULE_S": "0.1,0.1",
                "CAPTIONER_OUTBOUND_ALLOW": "127.0.0.1:*",
                "CAPTIONER_URL_ATTEMPTS": "2",
            },
            tmp_path,
            host,
        )


def ask_rightly(http: httpx.Client, place: Place, hook: str) -> list[str]:
    """Jobs of every kind. Returns their addresses."""
    good = place.host.add("/good.jpg", PICTURE)
    missing = place.host.add("/missing.jpg", status=404)
    hooked = {"webhook": f"{hook}?{QUERY}"}
    said = {"prompt": PROMPT, **hooked}
    picture = [("images", (NAME, PICTURE, "image/jpeg"))]
    accepted = [
        http.post("/captionImage", files=picture, data=said),
        http.post("/captionImage", json={"imgb64s": [b64(PICTURE)], **said}),
        http.post("/captionImage", json={"imgurls": [f"{good}?{QUERY}", f"{missing}?{QUERY}"]}),
        http.post("/captionImage", files=[("images", (NAME, PICTURE[:-900], "image/jpeg"))]),
    ]
    assert [answer.status_code for answer in accepted] == [202] * 4, [a.text for a in accepted]
    return [answer.headers["Location"] for answer in accepted]


def ask_wrongly(http: httpx.Client) -> None:
    """What is refused, at every layer that may refuse it."""
    keyed = {"X-API-Key": KEY, "Authorization": f"Bearer {KEY}", "X-Request-ID": "x\ty"}
    http.get(f"/captionImage/{KEY}", params={"key": KEY}, headers=keyed)
    http.get("/captionImage", params={"api_key": KEY}, headers=keyed)
    http.get(f"/%0d%0a{FORGED}")
    http.post("/captionImage", json={"imgb64s": [b64(PICTURE) + "!"], "prompt": PROMPT})
    http.post("/captionImage", json={"imgb64s": [b64(plain())], "prompt": PROMPT * 50})
    http.post("/captionImage", json={"imgb64s": [b64(plain())], PROMPT: NAME})
    http.post("/captionImage", content=b'{"imgb64s": ["' + b64(PICTURE).encode())
    http.post("/captionImage", files=files(PICTURE[:200]), data={"prompt": PROMPT})
    http.post("/captionImage", json={"imgurls": [f"http://10.0.0.1/{NAME}?{QUERY}"]})
    http.post("/captionImage", json={"imgurls": [f"ftp://{KEY}@127.0.0.1/?{QUERY}"]})
    http.post("/captionImage", json={"imgb64s": [b64(plain())], "webhook": f"x://?{QUERY}"})
    at = urlsplit(str(http.base_url))
    for raw in (
        f"GET /?key={KEY} HTTP/9.9\r\n\r\n",
        f"{KEY} {PROMPT}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\n{KEY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {KEY}\r\n\r\n",
    ):
        with socket.create_connection((str(at.hostname), int(at.port or 80)), 5) as connection:
            connection.sendall(raw.encode())
            connection.recv(1000)


def shown_by_flower(place: Place, port: int) -> bytes:
    password = (place.folder / "data" / "run" / "flower-password").read_text().strip()
    at = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=at, auth=("captioner", password), timeout=30) as client:
        until(lambda: len(client.get("/api/tasks").json()) >= 3, what="tasks in Flower")
        tasks = client.get("/api/tasks").json()
        pages = ["/api/tasks", "/api/workers", "/tasks", "/workers", "/broker"]
        pages += [f"/api/task/info/{task}" for task in tasks] + [f"/task/{task}" for task in tasks]
        return b"\n".join(client.get(page).content for page in pages)


def test_nothing_of_a_clients_is_told(place: Place) -> None:
    """Abuse row 33."""
    port = free_port()
    url = place.environment["CAPTIONER_REDIS_URL"]
    flower = [CAPTIONER, "flower", f"--port={port}"]
    with (
        monitored(url) as heard,
        receiver(500, 500, secrets=(SECRET,)) as hook,
        service(place.environment, place.folder, workers=0, ready=False) as base,
        httpx.Client(base_url=base, timeout=60) as http,
        running(flower, place.environment, log=place.folder / "flower.log", grace_s=2),
    ):
        until(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), what="Flower")
        jobs = ask_rightly(http, place, hook.url)
        ask_wrongly(http)
        with redis.Redis.from_url(url) as client:
            until(lambda: bool(client.llen("cap:caption.scenes")), what="message in the queue")
            queued = b"\n".join(client.lrange("cap:caption.scenes", 0, -1))
        with running([CAPTIONER, "worker"], place.environment, log=place.folder / "worker.log"):
            ended = [finished(http, job) for job in jobs]
            until(lambda: len(hook.received) >= 4, what="webhooks")
            shown = shown_by_flower(place, port)
    assert [job["status"] for job in ended] == ["succeeded", "succeeded", "partial", "failed"]
    assert seen_in(queued) == []
    assert len(heard.lines) > 100
    assert seen_in(heard.said) == []
    assert b"captioner.caption" in shown
    assert seen_in(shown) == []
    for name in ("api", "worker", "flower"):
        text = (place.folder / f"{name}.log").read_bytes()
        assert text
        assert seen_in(text) == [], name
        assert FORGED.encode() not in text
        assert max(map(len, text.splitlines())) <= MAX_BYTES
    said = [json.loads(line) for line in (place.folder / "api.log").read_text().splitlines()]
    assert {"gunicorn.error", "captioner.intake"} <= {each["logger"] for each in said}
    assert len([each for each in said if each.get("action") == "job_accepted"]) >= 4
    lines = (place.folder / "worker.log").read_text().splitlines()
    worker = [json.loads(line) for line in lines if line.startswith("{")]
    assert any(each["logger"].startswith("celery") for each in worker)
    assert len(lines) - len(worker) <= 2  # Celery's farewell, which is no log line
