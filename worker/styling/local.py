"""A chat model that this worker serves, asked in words alone: nothing leaves the machine.

Its questions wait in the same line as its pictures, in batches of their own.
"""

import asyncio
from concurrent.futures import Future

import numpy as np

from captioner.errors import CaptionerError, CaptionFailed, StylerGarbled, StylerUnavailable
from captioner.options import Options
from worker.engines.house import EngineHouse
from worker.engines.places import Unwanted
from worker.engines.protocol import Answer
from worker.engines.wishes import Wish
from worker.styling.protocol import Brief, Call

TOKENS_EACH, MORE_TOKENS = 64, 64
"""Tokens that an answer may have: for each caption, and for its frame."""
NO_PICTURES = np.zeros((0, 1, 1, 3), np.uint8)


class LocalStyler:
    """Asks the engine of one model."""

    speaks = False  # a batch is answered at its end; until then an answer may be in line

    def __init__(self, house: EngineHouse, model: str) -> None:
        self._house = house
        self._model = model

    async def write(self, call: Call) -> str:
        """See `protocol.Styler`."""
        halt: Future[CaptionerError] = Future()
        call.halt.add_done_callback(lambda _: _stop(halt))
        try:
            answer = await asyncio.to_thread(self._asked, call, halt)
        finally:
            _stop(halt)  # also when nobody waits any more: the thread ends with its batch's token
        if answer is None or isinstance(answer, CaptionerError):
            why = answer.detail if answer else "it was stopped"
            raise StylerUnavailable(f"The local model gave no answer: {why}")
        if not answer.text:
            raise StylerGarbled("The local model gave an empty answer.")
        return answer.text

    def _asked(self, call: Call, halt: "Future[CaptionerError]") -> Answer:
        try:
            with self._house.using(self._model, wanted=lambda: not halt.done()) as resident:
                wish = Wish(NO_PICTURES, halt)
                options = _options(call.brief)
                return resident.batcher.submit(wish, group=options, rank=call.rank).result().result
        except CaptionerError as error:
            return error
        except Unwanted:
            return None
        except Exception as error:  # noqa: BLE001 - the engine's own, whatever it is
            return CaptionFailed(f"The engine raised {type(error).__name__}.")

    async def close(self) -> None:
        """There is nothing to give back."""


def _options(brief: Brief) -> Options:
    return Options(
        prompt=f"{brief.form}\n\n{brief.user}",
        system=brief.system,
        max_new_tokens=MORE_TOKENS + TOKENS_EACH * brief.captions,
    )


def _stop(halt: "Future[CaptionerError]") -> None:
    if not halt.done():
        halt.set_result(StylerUnavailable("Nobody waits for it."))
