"""Images on their way to their styles, by Google's own client and a server of ours."""

import asyncio
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import pytest

from captioner.errors import CaptionerError
from captioner.settings import Settings
from captioner.styles import Style, Styling
from captioner.work import Claim
from tests.gemini_server import KEY, GeminiServer, captions_for, serving
from worker.styling.breaker import Breaker
from worker.styling.course import Course
from worker.styling.gemini import GeminiStyler

WISH = Styling(styles=(Style.WITTY, Style.POETIC), count=2, tone="dry")


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with serving() as server:
        yield server


class Asking:
    """A styler and its breaker over several images, in one loop."""

    def __init__(
        self,
        gemini: GeminiServer,
        *,
        timeout_s: float = 5,
        course: Mapping[str, Any] = MappingProxyType({}),
        **settings: Any,
    ) -> None:
        self.settings = Settings(gemini_api_key=KEY, gemini_url=gemini.url, **settings)
        self.course = {"timeout_s": timeout_s, **course}
        self.breaker = Breaker()
        self.told: list[tuple] = []

    def each(self, *claims: Claim, **more: object) -> list:
        """What becomes of these, one after another: captions, or the code of an error."""
        return asyncio.run(self._each(claims, together=False, **more))

    def together(self, *claims: Claim) -> list:
        return asyncio.run(self._each(claims, together=True))

    async def _each(self, claims, *, together: bool, **more) -> list:
        styler = GeminiStyler(self.settings)
        course = Course(styler, self.breaker, **self.course)
        try:
            if together:
                return list(await asyncio.gather(*(self._one(course, c, **more) for c in claims)))
            return [await self._one(course, claim, **more) for claim in claims]
        finally:
            await styler.close()

    async def _one(self, course: Course, claim: Claim, **more):
        try:
            return await course.run(claim, tell=self.told.append, **more)
        except CaptionerError as error:
            return error.code


def claim(caption: str = "a red circle", styling: Styling = WISH) -> Claim:
    return Claim(uuid4(), 0, 2, None, "scenes", styling=styling, caption=caption)


def whole(caption: str = "a red circle", styling: Styling = WISH):
    wishes = {
        "description": caption,
        "styles": [{"style": style} for style in styling.styles],
        "captions_per_style": styling.count,
        "emoji": "yes",
        "hashtags": "yes",
    }
    entries = captions_for(wishes)["styles"]
    return tuple((Style(each["style"]), tuple(each["captions"])) for each in entries)
