"""What every engine can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""One picture as the engine wants it: (height, width, 3), RGB."""


@dataclass(frozen=True)
class Caption:
    """One answer: its text, and the token ids that it was decoded from, prompt included."""

    text: str
    tokens: tuple[int, ...]


class Engine(Protocol):
    """A loaded network. Not thread-safe: one batcher thread calls it."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the pixels that `caption` takes."""

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""

    def caption(self, pictures: Sequence[Pixels], *, prompt: str | None) -> list[Caption]:
        """One caption per picture, in order. The same answer whatever else is in the batch."""
