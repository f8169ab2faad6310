"""What every engine can do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from captioner.errors import CaptionerError, ModelNotReady
from captioner.images import Resampling
from captioner.options import PLAIN, Options

Pixels = npt.NDArray[np.uint8]
"""One picture as the engine wants it: (height, width, 3), RGB.

For one caption of several pictures: (pictures, height, width, 3). For an engine that takes each in
its own shape (`Within`): (pictures,) of objects, which are such arrays. Chat models alone take
these, as many in each of a batch as its options say.
"""


@dataclass(frozen=True)
class Caption:
    """One answer: its text, and the token ids that it was decoded from.

    A prompt that the caption goes on with is part of both; a question that it answers of neither.
    `score` is the mean log-probability of the generated tokens, the end among them, as the model
    gave it before any temperature: 0 is certain. `None` where the engine does not say, and no
    tokens where it does not say those.
    """

    text: str
    tokens: tuple[int, ...]
    score: float | None = None
    others: tuple["Caption", ...] = ()
    """The further captions that were asked for, the best first."""
    written: int | None = None
    """How many tokens were generated for all of these, where the engine says that and not which."""


def ranked(captions: Sequence[Caption]) -> Caption:
    """Several captions of one picture as one: the likeliest, with the others after it."""
    best, *others = sorted(captions, key=lambda one: -(one.score or 0.0))
    return Caption(best.text, best.tokens, best.score, tuple(others))


Answer = Caption | CaptionerError | None
"""What becomes of a picture: its caption, why it alone has none, or `None` where it was stopped."""


class EngineGone(ModelNotReady):
    """The answer of an engine that has none any more: another is to be made in its place."""


class DeviceBroken(EngineGone):
    """No engine of this process can answer any more: the process is to end."""


Stopped = Callable[[], Sequence[bool]]
"""For each picture of a batch, in order: whether its caption is not wanted any more."""


class Engine(Protocol):
    """A loaded network. Not thread-safe: one batcher thread calls it."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the pixels that `caption` takes: just that, or less for `Within`."""

    @property
    def resampling(self) -> Resampling:
        """The filter with which pictures are brought to that size."""

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""

    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> Sequence[Answer]:
        """One answer per picture, in order. The same answer whatever else is in the batch.

        `stopped` is asked as often as there is a moment to stop at, such as each token. A picture
        whose caption was cut short by it has `None`.

        Raises `MemoryError` when a smaller batch may work, and `DeviceBroken` when no other will.
        """


@runtime_checkable
class Prepares(Protocol):
    """An engine that has more to set up than its first batch would."""

    def prepare(self, batch: int) -> None:
        """Get ready for batches of so many pictures, at most. Raises `MemoryError`."""
