"""A server that speaks the part of OpenAI's API that stylers use, as Ollama, vLLM and llama.cpp do.

It writes the captions that it is asked for, in a stream or at once. What it was asked it notes.
"""

import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from tests.gemini_server import captions_for
from tests.http_server import Handler, HttpServer, closing

MODEL = "gemma3:4b"
KEY = "sk-sesame-open-9"


@dataclass(frozen=True)
class Trouble:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    finish: str = "stop"
    refusal: str | None = None
    body: bytes | None = None


class OpenAiServer(HttpServer):
    def __init__(self) -> None:
        self.key: str | None = KEY
        self.knows_schemas = True
        self.streams = True
        self.troubles: list[Trouble] = []
        self.asked: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        """As they came."""
        super().__init__(_Handler)
        self.url = f"http://127.0.0.1:{self.port}/v1"


def serving() -> AbstractContextManager[OpenAiServer]:
    return closing(OpenAiServer())


def answer_to(chat: dict[str, Any]) -> str | None:
    """The captions that a chat asks for in words alone; `None` where it asks something else."""
    content = chat["messages"][-1]["content"]
    parts = [content] if isinstance(content, str) else [p["text"] for p in content if "text" in p]
    at = parts[-1].rfind('{"description"')
    if at < 0:
        return None
    return json.dumps(captions_for(json.loads(parts[-1][at:])), ensure_ascii=False)


class _Handler(Handler):
    def do_POST(self) -> None:
        openai = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        chat = json.loads(body)
        openai.bodies.append(body)
        openai.asked.append(chat)
        openai.heads.append(dict(self.headers.items()))
        trouble = openai.troubles.pop(0) if openai.troubles else Trouble()
        if self.path != "/v1/chat/completions":
            return self._problem(404)
        if openai.key and self.headers["Authorization"] != f"Bearer {openai.key}":
            return self._problem(401)
        if chat["model"] != MODEL:
            return self._problem(404)
        if "response_format" in chat and not openai.knows_schemas:
            return self._problem(400)
        if trouble.status != 200:
            return self._problem(trouble.status, trouble.headers)
        if trouble.body is not None:
            return self._send(200, "application/json", trouble.body)
        text = trouble.text if trouble.text is not None else answer_to(chat) or ""
        if chat.get("stream") and openai.streams:
            return self._stream(text, trouble)
        message = {"role": "assistant", "content": text, "refusal": trouble.refusal}
        choice = {"index": 0, "message": message, "finish_reason": trouble.finish}
        return self._send(200, "application/json", json.dumps({"choices": [choice]}).encode())

    def _stream(self, text: str, trouble: Trouble) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        pieces = [text[n : n + 60] for n in range(0, len(text), 60)]
        deltas = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
        if trouble.refusal:
            deltas.append({"refusal": trouble.refusal})
        for delta in deltas:
            self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            time.sleep(0.02)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": trouble.finish}]})
        self._event({"choices": [], "usage": {"total_tokens": 9}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def _problem(self, status: int, headers: dict[str, str] | None = None) -> None:
        error = {"error": {"message": "No.", "type": "error", "param": None, "code": None}}
        self._send(status, "application/json", json.dumps(error).encode(), headers)

    def _send(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send(status, body, {"Content-Type": kind, **(headers or {})})
