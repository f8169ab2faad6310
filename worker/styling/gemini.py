"""Gemini, and Gemma where the Gemini API serves it, through Google's own client.

The answer comes as a stream and is held to a JSON schema. Gemma takes neither a system instruction
nor a schema there, so it is told both in words.
"""

import re
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from captioner import retry_after
from captioner.errors import CaptionerError, StylerBlocked, StylerGarbled
from captioner.settings import Settings
from worker.styling import network
from worker.styling.protocol import Brief, Call

MAX_TOKENS = 8192
"""Of an answer, with what a model thinks before it."""
HELD_BACK = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
)
"""Ends of an answer that say that the model will not, and not that it could not."""
DELAY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s")


class GeminiStyler:
    """Asks `CAPTIONER_GEMINI_MODEL`. To be made and used in one loop."""

    speaks = True

    def __init__(self, settings: Settings) -> None:
        key = settings.gemini_api_key
        self._model = settings.gemini_model
        self._http = network.client()
        self._client = genai.Client(
            vertexai=False,  # whatever the environment says
            api_key=key.get_secret_value() if key else "",
            http_options=types.HttpOptions(
                base_url=settings.gemini_url,
                api_version="v1beta",
                httpx_async_client=self._http,  # retries are ours, so it is given none
            ),
        )

    async def write(self, call: Call) -> str:
        """See `protocol.Styler`."""
        try:
            return await self._write(call)
        except CaptionerError:
            raise
        except errors.APIError as error:
            raise _named(error) from None
        except network.TooMuch:
            raise network.too_much() from None
        except httpx.HTTPError as error:
            raise network.away(error) from None
        except Exception as error:  # noqa: BLE001 - the client's own, over an answer of another shape
            name = type(error).__name__  # and no more: its text may have the answer in it
            raise StylerGarbled(f"The styler's answer is no answer ({name}).") from None

    async def _write(self, call: Call) -> str:
        contents, config = _request(call.brief, self._model)
        stream = await self._client.aio.models.generate_content_stream(
            model=self._model, contents=contents, config=config
        )
        text, ended = "", ""
        async for chunk in stream:
            text += _text_of(chunk)
            ended = _end_of(chunk) or ended
            call.said(text)
        if ended in HELD_BACK:
            raise StylerBlocked(f"The styler held its answer back ({ended}).")
        if ended == "MAX_TOKENS":
            raise StylerGarbled("The styler's answer was cut short.")
        if not text:
            raise StylerGarbled("The styler gave an empty answer.")
        return text

    async def close(self) -> None:
        """Give connections back."""
        await self._http.aclose()


def _request(brief: Brief, model: str) -> tuple[str, types.GenerateContentConfig]:
    usual: dict[str, Any] = {
        "temperature": 1.0,
        "max_output_tokens": MAX_TOKENS,
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
    }
    if model.removeprefix("models/").startswith("gemma"):
        words = f"{brief.system}\n\n{brief.form}\n\n{brief.user}"
        return words, types.GenerateContentConfig(**usual)
    return brief.user, types.GenerateContentConfig(
        system_instruction=brief.system,
        response_mime_type="application/json",
        response_json_schema=dict(brief.schema),
        **usual,
    )


def _text_of(chunk: types.GenerateContentResponse) -> str:
    """What the first candidate says, without what it thinks."""
    if not chunk.candidates:
        return ""
    content = chunk.candidates[0].content
    parts = (content.parts if content else None) or []
    return "".join(part.text for part in parts if part.text and not part.thought)


def _end_of(chunk: types.GenerateContentResponse) -> str:
    """Why the answer ended, or why there is none; empty while it goes on."""
    feedback = chunk.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        raise StylerBlocked(f"The styler will not answer this ({feedback.block_reason.name}).")
    reason = chunk.candidates[0].finish_reason if chunk.candidates else None
    return reason.name if reason is not None else ""


def _named(error: errors.APIError) -> CaptionerError:
    details = _details(error.details)
    told = [_delay_s(each) for each in details if "RetryInfo" in str(each.get("@type", ""))]
    headers = getattr(error.response, "headers", None) or {}
    key = any(each.get("reason") == "API_KEY_INVALID" for each in details)
    status = error.code if isinstance(error.code, int) else 500
    wait_s = max([retry_after.seconds(headers.get("retry-after", "")), *told])
    return network.refusal(status, retry_after_s=wait_s, key=key)


def _details(body: Any) -> list[dict[str, Any]]:
    """The `details` of Google's error (google.rpc.Status), as far as there are any."""
    found = body.get("error", body) if isinstance(body, dict) else {}
    listed = found.get("details", []) if isinstance(found, dict) else []
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _delay_s(detail: dict[str, Any]) -> float:
    found = DELAY.fullmatch(str(detail.get("retryDelay", "")))
    return float(found[1]) if found else 0.0
