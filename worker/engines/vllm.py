"""Chat models that a vLLM server runs, asked over HTTP: no weights, and no torch, in this process.

A batch is as many requests at once. The server makes batches of its own.
"""

import asyncio
import logging
from collections.abc import Sequence

import httpx
import numpy as np

from captioner.catalog import ModelEntry
from captioner.errors import CaptionerError, ModelUnavailable
from captioner.images import Resampling, Within
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from captioner.vllm import Address
from worker.engines.prompts import ANSWER_TOKENS
from worker.engines.protocol import Answer, Caption, EngineGone, Pixels, Stopped
from worker.engines.vllm_chat import caption_in, question
from worker.engines.vllm_server import Card, Server

log = logging.getLogger(__name__)

SIDE = 1024
"""Pixels of a picture's longer side, at most. What the network wants, the server makes of it."""
LOOK_S = 0.1
"""Seconds between two looks for captions that are not wanted any more."""


class VllmMaker:
    """Makes engines that ask a server, as `kinds.Maker` says."""

    device = f"vLLM ({SIDE} pixels)"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def make(self, entry: ModelEntry) -> "VllmEngine":
        """The engine of a model that was asked once, about a grey picture.

        Raises `ModelUnavailable` with the cause: `ModelNotReady` where the server may come back.
        """
        server = Server(Address.parse(entry.source), self._settings)
        card = asyncio.run(_card(server))
        log.info("A vLLM server at %s serves %s.", server.url, card.revision)
        longest = max(self._settings.max_new_tokens, ANSWER_TOKENS)
        engine = VllmEngine(server, card, max_new_tokens=longest)
        (answer,) = engine.caption([np.full((64, 64, 3), 128, np.uint8)], Options(max_new_tokens=1))
        if isinstance(answer, ModelUnavailable):
            raise answer
        if isinstance(answer, CaptionerError):
            raise ModelUnavailable(answer.detail)
        return engine


class VllmEngine:
    """Asks the same as our own chat engines. A picture that fails does so alone."""

    image_size = Within(SIDE, SIDE)
    resampling = Resampling.BICUBIC

    def __init__(self, server: Server, card: Card, *, max_new_tokens: int) -> None:
        self._server = server
        self._card = card
        self._max_new_tokens = max_new_tokens
        self.revision = card.revision

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Answer]:
        """One answer per picture. To stop one is to close its connection, which vLLM heeds."""
        answers = asyncio.run(self._batch(pictures, options, stopped))
        troubles = [answer for answer in answers if isinstance(answer, ModelUnavailable)]
        if troubles:
            log.warning(
                "%d of %d pictures have no caption from %s. %s",
                len(troubles), len(answers), self._server.url, troubles[0].detail,
            )  # fmt: skip
        return answers

    async def _batch(
        self, pictures: Sequence[Pixels], options: Options, stopped: Stopped | None
    ) -> list[Answer]:
        async with self._server.client() as client:
            moved = asyncio.create_task(self._moved(client))
            asked = [asyncio.create_task(self._one(client, one, options)) for one in pictures]
            answers = await _all(asked, stopped)
            if not any(isinstance(answer, Caption) for answer in answers):
                moved.cancel()
                return answers
            changed = await moved
        return [changed if changed and isinstance(one, Caption) else one for one in answers]

    async def _one(self, client: httpx.AsyncClient, picture: Pixels, options: Options) -> Answer:
        body = await asyncio.to_thread(
            question,
            picture,
            options,
            model=self._card.id,
            max_new_tokens=self._max_new_tokens,
        )
        try:
            answer = await self._server.ask(client, body)
            return caption_in(answer, captions=options.captions)
        except CaptionerError as error:
            return error

    async def _moved(self, client: httpx.AsyncClient) -> EngineGone | None:
        """Why the answers are not those of the model that was loaded, where they are not."""
        try:
            card = await self._server.card(client)
        except CaptionerError:  # the answers say themselves what is wrong
            return None
        if card == self._card:
            return None
        return EngineGone(f"The model's server serves {card.revision} now, not {self.revision}.")


async def _card(server: Server) -> Card:
    async with server.client() as client:
        return await server.card(client)


async def _all(asked: Sequence[asyncio.Task[Answer]], stopped: Stopped | None) -> list[Answer]:
    """What each came to; `None` for those that were stopped on their way."""
    waiting = set(asked)
    while waiting:
        _, waiting = await asyncio.wait(waiting, timeout=LOOK_S if stopped else None)
        for task, halted in zip(asked, stopped() if stopped else (), strict=stopped is not None):
            if halted:
                task.cancel()
    return [None if task.cancelled() else task.result() for task in asked]
