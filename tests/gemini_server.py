"""A server that speaks the part of the Gemini API that stylers use, in its wire format.

`POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent?alt=sse`, errors as
google.rpc.Status. It writes what it is asked for, or has trouble, one after another. Every request
is kept as it came, head and body.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.http_server import Handler, HttpServer, closing

KEY = "AIza-sesame-open-9-sesame-open-9-sesame"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True)
class Trouble:
    """What happens to a request instead of an answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    details: tuple[dict[str, Any], ...] = ()
    text: str | None = None
    """What the model says, in place of captions."""
    finish: str = "STOP"
    blocked: str | None = None
    """The reason why the prompt is blocked."""
    candidates: bool = True
    body: bytes | None = None
    """Sent as it is."""
    hangs_s: float = 0.0
    reset: bool = False


def retry_info(seconds: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": seconds}


HANGS = Trouble(hangs_s=60)
RESET = Trouble(reset=True)
GARBAGE = Trouble(text="As a large language model I had rather talk about the weather.")
TRUNCATED = Trouble(
    text='{"styles": [{"style": "Witty", "captions": ["cut in the mid', finish="MAX_TOKENS"
)
NO_CANDIDATES = Trouble(candidates=False)
UNSAFE = Trouble(text="", finish="SAFETY")
PROMPT_BLOCKED = Trouble(blocked="PROHIBITED_CONTENT", candidates=False)
ENDLESS = Trouble(text="x" * 5_000_000)
NO_JSON = Trouble(body=b"data: this is no JSON at all\n\n")
BUSY = Trouble(status=429, details=(retry_info("0.2s"),))
DOWN = Trouble(status=503)
WRONG_KEY = Trouble(
    status=400,
    details=(
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        },
    ),
)


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said

    @property
    def words(self) -> str:
        """All that the model is told."""
        contents = [*self.json["contents"], self.json.get("systemInstruction", {"parts": []})]
        return "\n".join(part["text"] for content in contents for part in content["parts"])

    @property
    def wishes(self) -> dict[str, Any]:
        """The JSON object at the end of what it is asked."""
        text = self.json["contents"][0]["parts"][0]["text"]
        wishes: dict[str, Any] = json.loads(text[text.rindex('{"description"') :])
        return wishes


def captions_for(wishes: dict[str, Any]) -> dict[str, Any]:
    """Captions that say what they were made of."""
    tail = " 😀" if wishes["emoji"] != "none" else ""
    tail += " #picture #photo" if wishes["hashtags"] != "none" else ""
    styles = [style["style"] for style in wishes["styles"]]
    numbers = range(1, wishes["captions_per_style"] + 1)
    said = wishes["description"]
    return {
        "styles": [
            {"style": style, "captions": [f"{style} {n}: {said}{tail}" for n in numbers]}
            for style in styles
        ]
    }


class GeminiServer(HttpServer):
    """Serves any model; asks for `key` if there is one."""

    def __init__(self, port: int = 0) -> None:
        self.key: str | None = KEY
        self.troubles: list[Trouble] = []
        """Taken one after another; then there are none."""
        self.always: Trouble | Callable[[int], Trouble | None] | None = None
        """The trouble of every request, or of each by its number from 0."""
        self.pause_s = 0.0
        """Between two pieces of an answer."""
        self.takes_s = 0.0
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = self.hung_up = 0
        self.lock = threading.Lock()
        super().__init__(_Handler, port)
        self.url = f"http://127.0.0.1:{self.port}"

    def trouble(self, number: int) -> Trouble | None:
        with self.lock:
            if self.troubles:
                return self.troubles.pop(0)
        return self.always(number) if callable(self.always) else self.always


def serving(port: int = 0) -> AbstractContextManager[GeminiServer]:
    return closing(GeminiServer(port))


class _Handler(Handler):
    def do_POST(self) -> None:
        gemini = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = Asked(time.time(), self.path, dict(self.headers.items()), body)
        with gemini.lock:
            number = len(gemini.asked)
            gemini.asked.append(asked)
            gemini.at_once += 1
            gemini.most_at_once = max(gemini.most_at_once, gemini.at_once)
        try:
            self._serve(asked, number)
        except (BrokenPipeError, ConnectionResetError):
            with gemini.lock:
                gemini.hung_up += 1
        finally:
            with gemini.lock:
                gemini.at_once -= 1

    def _serve(self, asked: Asked, number: int) -> None:
        gemini = self.server.owner
        trouble = gemini.trouble(number) or Trouble()
        if gemini.key and self.headers.get("x-goog-api-key") != gemini.key:
            trouble = WRONG_KEY
        if trouble.hangs_s:
            self._hang(trouble.hangs_s)
            return
        if trouble.reset:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        if trouble.status != 200:
            self._problem(trouble)
            return
        time.sleep(gemini.takes_s)
        text = trouble.text
        if text is None:
            text = json.dumps(captions_for(asked.wishes), ensure_ascii=False)
        if ":streamGenerateContent" in self.path:
            self._stream(trouble, text)
        elif self.path.partition("?")[0].endswith(":generateContent"):
            self._answer(200, json.dumps(_chunk(text, trouble, finish=trouble.finish)).encode())
        else:
            self._problem(Trouble(status=404))

    def _hang(self, seconds: float) -> None:
        self.connection.settimeout(seconds)
        self.close_connection = True
        try:
            if not self.connection.recv(1):
                raise BrokenPipeError
        except TimeoutError:
            pass

    def _stream(self, trouble: Trouble, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        if trouble.body is not None:
            self.wfile.write(trouble.body)
            return
        size = max(40, len(text) // 40)
        pieces = [text[n : n + size] for n in range(0, len(text), size)] or [""]
        for piece in pieces[:-1]:
            self._event(_chunk(piece, trouble))
            self.wfile.flush()
            time.sleep(self.server.owner.pause_s)
        self._event(_chunk(pieces[-1], trouble, finish=trouble.finish))

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n".encode())

    def _problem(self, trouble: Trouble) -> None:
        status = STATUSES[trouble.status]
        error = {"code": trouble.status, "message": f"{status}, it says.", "status": status}
        if trouble.details:
            error["details"] = list(trouble.details)
        self._answer(trouble.status, json.dumps({"error": error}).encode(), trouble.headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        self.send(status, body, {**kind, **(headers or {})})


def _chunk(text: str, trouble: Trouble, *, finish: str | None = None) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 18},
        "modelVersion": "gemini-flash",
        "responseId": "r-1",
    }
    if trouble.blocked:
        chunk["promptFeedback"] = {"blockReason": trouble.blocked}
    if trouble.candidates:
        candidate: dict[str, Any] = {"index": 0}
        if text:
            candidate["content"] = {"parts": [{"text": text}], "role": "model"}
        if finish:
            candidate["finishReason"] = finish
        chunk["candidates"] = [candidate]
    return chunk
