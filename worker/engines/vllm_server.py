"""A vLLM server, as its HTTP API shows it: what it serves, what it answers, what it refuses.

Nothing of a request, and no key, is in an error or in the log.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ValidationError

from captioner.errors import CaptionerError, CaptionFailed, ModelNotReady, ModelUnavailable
from captioner.settings import Settings
from captioner.vllm import Address
from worker.engines.protocol import EngineGone

CONNECT_S = 5.0
CARD_S = 10.0
"""Longest wait for what costs the server nothing."""
LATER = (408, 425, 429)
"""Refusals that pass, beside those that are the server's own fault."""
SAID_CHARS = 200
LONG_WORD = re.compile(r"\S{60,}")
"""No word of a message: part of a picture, perhaps, that the server repeats."""


@dataclass(frozen=True)
class Card:
    """What a server says of a model. It does not say which commit its weights are of."""

    id: str
    """The name by which it is asked for."""
    root: str | None = None
    """The hub id or folder that it was loaded from."""

    @property
    def revision(self) -> str:
        """As it is recorded with captions."""
        origin = f" of {self.root}" if self.root not in (None, self.id) else ""
        return f"vllm:{self.id}{origin}"[:128]


class _Listed(BaseModel):
    id: str
    root: str | None = None


class _Listing(BaseModel):
    data: list[_Listed]


class Server:
    """The server of one model. What it raises tells callers nothing of its address."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self.url = address.url
        self._model = address.model
        self._timeout_s = settings.vllm_timeout_s
        self._tls = ssl.create_default_context()  # once: it reads every certificate
        key = settings.vllm_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def client(self) -> httpx.AsyncClient:
        """Connections for one batch: as many as it has pictures. No proxy, no redirects."""
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None),
            verify=self._tls,
            trust_env=False,
        )

    async def card(self, client: httpx.AsyncClient) -> Card:
        """What it says of the model. Raises as `ask`, and `ModelUnavailable` if it has it not."""
        said = await self._call(client, "GET", "/models", None, CARD_S)
        try:
            listed = _Listing.model_validate_json(said).data
        except ValidationError:
            raise ModelUnavailable(
                "The model's server speaks another language than vLLM."
            ) from None
        found = [one for one in listed if self._model in (None, one.id)]
        if len(found) == 1:
            return Card(found[0].id, found[0].root)
        names = ", ".join(one.id for one in listed)[:SAID_CHARS]
        if self._model is None:
            raise ModelUnavailable(f"The model's server has several: name one of {names}.")
        raise ModelUnavailable(f"The model's server has no {self._model!r}; it has: {names}.")

    async def ask(self, client: httpx.AsyncClient, body: bytes) -> bytes:
        """Its answer to a chat.

        Raises `EngineGone` when it is away, `ModelNotReady` when it is slow or overloaded,
        `CaptionFailed` when it refuses this chat, and `ModelUnavailable` when it would refuse any.
        """
        return await self._call(client, "POST", "/chat/completions", body, self._timeout_s)

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, body: bytes | None, wait_s: float
    ) -> bytes:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            async with asyncio.timeout(wait_s):
                answer = await client.request(
                    method, f"{self.url}{path}", content=body, headers=headers
                )
        except TimeoutError:
            raise ModelNotReady(
                f"The model's server has not answered within {wait_s:g} seconds."
            ) from None
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise EngineGone("The model's server is away.") from None
        except httpx.HTTPError as error:
            cause = type(error).__name__
            raise ModelNotReady(f"The model's server does not answer ({cause}).") from None
        if answer.status_code != 200:
            raise _refusal(answer)
        return answer.content


def _refusal(answer: httpx.Response) -> CaptionerError:
    status, said = answer.status_code, _said(answer)
    if status in LATER or status >= 500:
        return ModelNotReady(f"The model's server cannot answer now ({status}).")
    if status in (401, 403):
        return ModelUnavailable(
            f"The model's server refuses this worker ({status}): see CAPTIONER_VLLM_KEY."
        )
    if status in (404, 405):
        return ModelUnavailable(f"The model's server has no such model or route ({status}){said}")
    if 400 <= status < 500:
        return CaptionFailed(f"The model's server refuses this picture ({status}){said}")
    return ModelUnavailable(
        f"The model's server answers {status}, and no redirect is followed: name its own address."
    )


class _Problem(BaseModel):
    message: str


class _Nested(BaseModel):
    error: _Problem


def _said(answer: httpx.Response) -> str:
    for form in (_Nested, _Problem):  # vLLM had the second until 0.10
        try:
            found = form.model_validate_json(answer.content)
        except ValidationError:
            continue
        message = (found.error if isinstance(found, _Nested) else found).message
        return f": {LONG_WORD.sub('…', message)[:SAID_CHARS]}"
    return "."
