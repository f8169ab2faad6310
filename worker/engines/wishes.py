"""Pictures that an engine is asked for, each until nobody wants its caption any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from captioner.options import Options
from worker.engines.protocol import Answer, Caption, Engine, Pixels


class Halted(Protocol):
    """What says that work on a picture is in vain."""

    def done(self) -> bool:
        """Whether it is. It stays so."""


@dataclass(frozen=True)
class Wish:
    """A picture to caption, unless `halt` is done before it has its caption."""

    pixels: Pixels
    halt: Halted
    origin: str = ""
    """Where it was asked for, while traces are told: see `captioner.tracing`."""


def captions(engine: Engine, wishes: Sequence[Wish], options: Options) -> list[Answer]:
    """What the engine answers to those that are not halted; `None` for those that are."""
    wanted = [wish for wish in wishes if not wish.halt.done()]
    if not wanted:
        return [None] * len(wishes)
    answers = engine.caption(
        [wish.pixels for wish in wanted],
        options,
        stopped=lambda: [wish.halt.done() for wish in wanted],
    )
    by_wish = dict(zip(map(id, wanted), answers, strict=True))
    return [by_wish.get(id(wish)) for wish in wishes]


def tokens(answers: Sequence[Answer]) -> int:
    """All that were generated, but for those of captions that were cut short."""
    return sum(_written(answer) for answer in answers if isinstance(answer, Caption))


def _written(best: Caption) -> int:
    if best.written is not None:
        return best.written
    return sum(len(each.tokens) for each in (best, *best.others))
