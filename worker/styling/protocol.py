"""What every styler can do."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from captioner.errors import CaptionerError


@dataclass(frozen=True)
class Brief:
    """What a styler is asked about one caption."""

    system: str
    """The rules."""
    user: str
    """The caption and the wishes, as JSON."""
    schema: Mapping[str, Any]
    """The JSON schema of the answer."""
    form: str
    """The same in words, for models that cannot be given a schema."""
    captions: int
    """How many captions there are to be in all."""


@dataclass(frozen=True)
class Call:
    """One question to a styler."""

    brief: Brief
    said: Callable[[str], None]
    """Told of all text that has come so far, as often as anything comes."""
    halt: "Future[CaptionerError]"
    """Done once nobody wants the answer. The call is then cancelled, too."""
    rank: float = 0.0


class Styler(Protocol):
    """Writes captions. Called in one asyncio loop, from many tasks at once."""

    speaks: bool
    """Whether it tells its answer as it comes, so that one that says nothing for long hangs."""

    async def write(self, call: Call) -> str:
        """The whole answer, which should be JSON as the brief's schema has it.

        Raises `StylerUnavailable` for what may pass (with `retry_after_s` where it was told),
        `StylerRefused` for what does not (`ours=True` where it would refuse any call of this
        server), `StylerBlocked` where it will not write about this, and `StylerGarbled` for what is
        no answer. None of these says anything of the question or the key.
        """

    async def close(self) -> None:
        """Give connections back."""
