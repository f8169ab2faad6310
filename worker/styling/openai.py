"""Any server that speaks OpenAI's chat completions: Ollama, vLLM, llama.cpp, or OpenAI itself.

The answer comes as a stream and is held to a JSON schema (`response_format`); a server that does
not know that is told the form in words. That it does not know is only guessed, from a request that
it refused with the schema and answered without: so it is shown one again now and then.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
from pydantic import BaseModel, ValidationError

from captioner import retry_after
from captioner.errors import CaptionerError, StylerBlocked, StylerGarbled
from captioner.settings import Settings
from worker.styling import network
from worker.styling.protocol import Brief, Call

BAD_REQUEST = (400, 422)
WITHOUT_S = 300.0
"""How long a server is shown no schema after it seemed not to know them."""


class _Said(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    choices: list[_Choice] = []


class OpenAiStyler:
    """Asks `CAPTIONER_OPENAI_MODEL` at `CAPTIONER_OPENAI_URL`. To be made and used in one loop."""

    speaks = True

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        key = settings.openai_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._model = settings.openai_model
        self._url = f"{settings.openai_url}/chat/completions"
        self._http = network.client(headers)
        self._clock = clock
        self._without_until = clock()

    async def write(self, call: Call) -> str:
        """See `protocol.Styler`."""
        try:
            answer = await self._answer(call)
        except network.TooMuch:
            raise network.too_much() from None
        except httpx.HTTPError as error:
            raise network.away(error) from None
        if answer is None:
            raise network.refusal(BAD_REQUEST[0])
        return answer

    async def _answer(self, call: Call) -> str | None:
        if self._clock() < self._without_until:
            return await self._ask(call, with_schema=False)
        answer = await self._ask(call, with_schema=True)
        if answer is None:
            answer = await self._ask(call, with_schema=False)
            if answer is not None:
                self._without_until = self._clock() + WITHOUT_S
        return answer

    async def _ask(self, call: Call, *, with_schema: bool) -> str | None:
        """The answer; `None` where the server says that the request is wrong."""
        body = _request(call.brief, self._model, with_schema=with_schema)
        async with self._http.stream("POST", self._url, json=body) as response:
            if response.status_code in BAD_REQUEST:
                return None
            if response.status_code != 200:
                wait_s = retry_after.seconds(response.headers.get("retry-after", ""))
                raise network.refusal(response.status_code, retry_after_s=wait_s)
            if "text/event-stream" not in response.headers.get("content-type", ""):
                return _whole([_chunk((await response.aread()).decode(errors="replace"))])
            chunks: list[_Chunk] = []
            async for line in response.aiter_lines():
                if line.startswith("data:") and line[5:].strip() != "[DONE]":
                    chunks.append(_chunk(line[5:]))
                    call.said(_text(chunks))
            return _whole(chunks)

    async def close(self) -> None:
        """Give connections back."""
        await self._http.aclose()


def _request(brief: Brief, model: str, *, with_schema: bool) -> dict[str, Any]:
    system = brief.system if with_schema else f"{brief.system} {brief.form}"
    shape = {"name": "styled_captions", "strict": True, "schema": dict(brief.schema)}
    form = {"response_format": {"type": "json_schema", "json_schema": shape}}
    return {
        "model": model,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": brief.user},
        ],
        "stream": True,
        **(form if with_schema else {}),
    }


def _chunk(text: str) -> _Chunk:
    try:
        return _Chunk.model_validate_json(text)
    except ValidationError:  # its message has what was said
        raise _no_answer() from None
    except json.JSONDecodeError:
        raise _no_answer() from None


def _no_answer() -> CaptionerError:
    return StylerGarbled("The styler's answer is no chat completion.")


def _text(chunks: list[_Chunk]) -> str:
    first = [chunk.choices[0] for chunk in chunks if chunk.choices]
    said = [choice.delta or choice.message for choice in first]
    return "".join(each.content or "" for each in said if each)


def _whole(chunks: list[_Chunk]) -> str:
    """The text. Raises what its end says, or that there is none."""
    choices = [choice for chunk in chunks for choice in chunk.choices[:1]]
    ends = {choice.finish_reason for choice in choices}
    refused = any((choice.delta or choice.message or _Said()).refusal for choice in choices)
    if refused or "content_filter" in ends:
        raise StylerBlocked("The styler held its answer back.")
    if "length" in ends:
        raise StylerGarbled("The styler's answer was cut short.")
    text = _text(chunks)
    if not text:
        raise StylerGarbled("The styler gave an empty answer.")
    return text
