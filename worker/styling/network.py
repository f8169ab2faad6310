"""Connections to stylers outside: how much they may say, and what their statuses mean."""

from collections.abc import AsyncIterator, Mapping

import httpx

from captioner.errors import CaptionerError, StylerGarbled, StylerRefused, StylerUnavailable

MAX_BYTES = 512 * 1024
"""Of one answer, decoded. More is cut off: forty captions are some kilobytes."""
CONNECT_S = 5.0
LATER = (408, 425, 429)
"""Refusals that pass, beside those that are the server's own fault."""
OURS = (401, 403, 404, 405)
"""Refusals that any call of this server would meet: the key, the model's name, the address."""


class TooMuch(Exception):
    """An answer went on for too long."""


def client(headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """Connections with bounded answers, for one loop. Time is bounded by the caller.

    No redirect is followed. A proxy is used where the environment names one (`HTTPS_PROXY`).
    """
    return httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(None, connect=CONNECT_S),
        event_hooks={"response": [_bound]},
    )


async def _bound(response: httpx.Response) -> None:
    response.stream = _Bounded(response.stream)  # type: ignore[arg-type] # of an async client


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise TooMuch
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def too_much() -> StylerGarbled:
    """What an answer without an end comes to."""
    return StylerGarbled(f"The styler's answer has more than {MAX_BYTES} bytes.")


def away(error: Exception) -> StylerUnavailable:
    """What a connection that failed comes to. Its message may name what nobody need see."""
    return StylerUnavailable(f"The styler cannot be reached ({type(error).__name__}).")


def refusal(status: int, *, retry_after_s: float = 0.0, key: bool = False) -> CaptionerError:
    """What a status other than 200 means. `key`: the answer says that it is about the key."""
    if status in LATER or status >= 500:
        return StylerUnavailable(
            f"The styler cannot answer now ({status}).", retry_after_s=retry_after_s
        )
    if key or status in OURS:
        return StylerRefused(
            f"The styler refuses this server ({status}). Operator: see its key, address and model.",
            ours=True,
        )
    return StylerRefused(f"The styler refuses the request ({status}).")
