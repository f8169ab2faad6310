"""A server that speaks the part of vLLM's HTTP protocol that captions use.

It looks at the pictures that it is sent: its caption tells each picture's colour and size. Colours
can be given trouble of their own. What it was asked, and who hung up, it notes. Asked for styles in
words alone, it writes them.
"""

import base64
import binascii
import json
import select
import socket
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

from tests.http_server import Handler, HttpServer, closing
from tests.openai_server import answer_to

MODEL = "google/gemma-3-4b-it"
KEY = "sesame-open-9"
COLOURS = {"red": (220, 20, 20), "green": (20, 160, 20), "blue": (20, 20, 220), "grey": (128,) * 3}


def painted(colour: str, width: int = 64, height: int = 48) -> Image.Image:
    return Image.new("RGB", (width, height), COLOURS[colour])


@dataclass(frozen=True)
class Trouble:
    """What happens to a request. A status is answered; without one the line is cut."""

    status: int | None = 500
    message: str = "something went wrong"
    after_s: float = 0
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


SLOW = Trouble(status=200, after_s=60)
CUT = Trouble(status=None)


class VllmServer(HttpServer):
    """Serves `cards`; asks for `key` if there is one."""

    def __init__(self, port: int = 0) -> None:
        self.cards = [{"id": MODEL, "root": MODEL}]
        self.key: str | None = None
        self.troubles: dict[str, Trouble] = {}
        """By the picture's colour, or by the path."""
        self.most_pictures = 16
        """In one chat, as `--limit-mm-per-prompt` sets it."""
        self.chats: list[dict[str, Any]] = []
        """What was asked, without the picture."""
        self.pictures: list[Image.Image] = []
        self.at_once = self.most_at_once = self.hung_up = 0
        self.lock = threading.Lock()
        super().__init__(_Handler, port)
        self.source = f"vllm:http://127.0.0.1:{self.port}"


def serving(port: int = 0) -> AbstractContextManager[VllmServer]:
    return closing(VllmServer(port))


class _Handler(Handler):
    def do_GET(self) -> None:
        if self._stands_in_the_way(self.path):
            return None
        if self.path != "/v1/models":
            return self._problem(404, "Not Found")
        cards = [
            {"object": "model", "owned_by": "vllm", **card} for card in self.server.owner.cards
        ]
        return self._answer(200, {"object": "list", "data": cards})

    def do_POST(self) -> None:
        vllm = self.server.owner
        chat = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self._problem(404, "Not Found")
        if vllm.key and self.headers["Authorization"] != f"Bearer {vllm.key}":
            return self._problem(401, "Unauthorized")
        if chat["model"] not in [card["id"] for card in vllm.cards]:
            return self._problem(404, f"The model `{chat['model']}` does not exist.")
        words = answer_to(chat)
        if words is not None:
            with vllm.lock:
                vllm.chats.append(chat)
            return self._answer(200, {"choices": [{"message": {"content": words}}]})
        try:
            pictures = _pictures_in(chat)
        except (KeyError, ValueError, binascii.Error, OSError) as error:
            return self._problem(400, f"no picture: {error}")
        if len(pictures) > vllm.most_pictures:
            at_most = f"At most {vllm.most_pictures} image(s) may be provided in one prompt."
            return self._problem(400, at_most)
        with vllm.lock:
            vllm.chats.append(chat)
            vllm.pictures.extend(pictures)
            vllm.at_once += 1
            vllm.most_at_once = max(vllm.most_at_once, vllm.at_once)
        try:
            if not any(self._stands_in_the_way(_colour(picture)) for picture in pictures):
                self._answer(200, _completion(chat, pictures))
        finally:
            with vllm.lock:
                vllm.at_once -= 1
        return None

    def _stands_in_the_way(self, what: str) -> bool:
        trouble = self.server.owner.troubles.get(what)
        if trouble is None:
            return False
        if self._is_left_for(trouble.after_s) or trouble.status is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif trouble.body is not None:
            self._send(trouble.status, trouble.body, trouble.headers)
        elif trouble.status != 200:
            self._problem(trouble.status, trouble.message, trouble.headers)
        else:
            return False
        return True

    def _is_left_for(self, seconds: float) -> bool:
        """Whether the caller hangs up within that time, as vLLM notices it too."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.05))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                with self.server.owner.lock:
                    self.server.owner.hung_up += 1
                return True
        return False

    def _problem(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "type": "Error", "param": None, "code": status}
        self._answer(status, {"error": error}, headers)

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers or {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send(status, body, {"Content-Type": "application/json", **headers})


def _pictures_in(chat: dict[str, Any]) -> list[Image.Image]:
    """The pictures of a chat, at least one, taken out of it."""
    shown = [
        part
        for message in chat["messages"]
        for part in message["content"]
        if isinstance(part, dict) and part["type"] == "image_url"
    ]
    if not shown:
        raise ValueError("there is none")
    return [_picture_in(part) for part in shown]


def _picture_in(shown: dict[str, Any]) -> Image.Image:
    kind, _, data = shown.pop("image_url")["url"].partition(";base64,")
    if kind != "data:image/png":
        raise ValueError(f"{kind[:40]} is not expected")
    picture = Image.open(BytesIO(base64.b64decode(data, validate=True)), formats=["PNG"])
    picture.load()
    return picture


def _colour(picture: Image.Image) -> str:
    middle = picture.convert("RGB").getpixel((picture.width // 2, picture.height // 2))
    assert isinstance(middle, tuple)
    return min(
        COLOURS,
        key=lambda name: sum(abs(a - b) for a, b in zip(COLOURS[name], middle, strict=True)),
    )


def _completion(chat: dict[str, Any], pictures: list[Image.Image]) -> dict[str, Any]:
    choices = [_choice(chat, pictures, number) for number in range(chat.get("n", 1))]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": chat["model"],
        "choices": choices,
        "usage": {"prompt_tokens": 9, "completion_tokens": 9 * len(choices), "total_tokens": 18},
    }


def _choice(chat: dict[str, Any], pictures: list[Image.Image], number: int) -> dict[str, Any]:
    """A word is a token. The further a choice, the less likely: its tokens by 0.1, 0.2 and so on.

    One that is drawn names what it was drawn with.
    """
    seen = [f"A {_colour(one)} picture, {one.width} by {one.height}." for one in pictures]
    words = " ".join(seen).split()
    if chat["temperature"]:
        words.append(f"Drawn with {chat['seed']}+{number} at {chat['temperature']}.")
    words += ["indeed"] * (chat.get("min_tokens", 0) - len(words))
    ended = len(words) < chat["max_completion_tokens"]
    words = words[: chat["max_completion_tokens"]]
    tokens = [*words, "<end>"] if ended else words
    logprobs = [{"token": it, "logprob": -(number + 1) / 10, "top_logprobs": []} for it in tokens]
    return {
        "index": number,
        "message": {"role": "assistant", "content": f" {' '.join(words)}"},
        "logprobs": {"content": logprobs} if chat.get("logprobs") else None,
        "finish_reason": "stop" if ended else "length",
    }
