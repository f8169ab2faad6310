"""How a caption is to be made: what a request may ask of a model, besides its pictures."""

import json
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Self

from captioner.errors import InvalidOption

MAX_SEED = 2**63 - 1
MAX_NGRAM = 8
MIN_TEMPERATURE = 0.01
"""Of those above 0. With less, only the likeliest is ever drawn, and at last numbers overflow."""


class Length(StrEnum):
    """How much a caption is to say. `alt_text` is for the `alt` of a web page: at most 125
    characters, a sentence, without "image of".
    """

    SHORT = "short"
    MEDIUM = "medium"
    LONG = "long"
    ALT_TEXT = "alt_text"


class Fault(StrEnum):
    """What can be wrong with a caption, so that the model is asked once more."""

    EMPTY = "empty"
    REPETITION = "repetition"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    STOCK_OPENING = "stock_opening"


UNSAFE = (
    "Does the picture show nudity, sexual acts, blood, violence, drugs or hateful symbols, or "
    "anything else that is not safe for children to see?"
)
"""What is asked of a picture that is to be flagged, unless the request asks something else."""


@dataclass(frozen=True)
class Options:
    """What is left out is as the model does it. Pictures of equal options may share a batch.

    Without a temperature a caption is the likeliest, found greedily or by beams; with one it is
    drawn, and the same `seed` draws the same for the same picture, whatever else is in its batch.
    """

    prompt: str | None = None
    """What the caption begins with; for chat models, what they are asked."""
    system: str | None = None
    """What a chat model is told before it is asked."""
    max_new_tokens: int | None = None
    min_new_tokens: int | None = None
    num_beams: int | None = None
    num_captions: int | None = None
    temperature: float | None = None
    seed: int | None = None
    language: str | None = None
    """The language of the answer, in words or as a tag: "German", "de"."""
    length: Length | None = None
    no_repeat_ngram: int | None = None
    """No run of so many tokens comes twice in a caption."""
    tags: bool | None = None
    """Whether the words of content are wanted beside the caption."""
    flag: str | None = None
    """A question to be answered by yes or no, beside the caption. Chat models alone can."""
    collective: int | None = None
    """Of how many pictures it is one caption, in their order; of each its own if it is `None`."""
    again: Fault | None = None
    """What was wrong with the first answer. Set by the worker that asks once more."""

    @cached_property
    def given(self) -> dict[str, Any]:
        """Those that were asked for, by name. Not to be changed."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in named if value is not None}

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(self.given.items()))

    def __hash__(self) -> int:
        return self._hash

    @property
    def repeatable(self) -> bool:
        """Whether the same picture gets the same caption each time: not where it is drawn anew."""
        return not self.temperature or self.seed is not None

    @property
    def captions(self) -> int:
        """How many captions each picture gets."""
        return self.num_captions or 1

    def to_json(self) -> str | None:
        """As it is stored: what was asked for, names in order; `None` when nothing was."""
        return json.dumps(self.given, sort_keys=True) if self.given else None

    @classmethod
    def from_json(cls, text: str | None) -> Self:
        """What `to_json` made. Names of a later version are left out."""
        stored = json.loads(text or "{}")
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        if "length" in known:
            known["length"] = Length(known["length"])
        return cls(**known)

    @staticmethod
    @lru_cache(1024)
    def stored(text: str | None, prompt: str | None) -> "Options":
        """Of a job: its options as `to_json` made them, and its prompt. Of equal ones, the same."""
        return replace(Options.from_json(text), prompt=prompt)


@dataclass(frozen=True)
class Limits:
    """What a model takes: the names of its options, and the most that it does."""

    takes: frozenset[str]
    max_new_tokens: int = 256
    chats: bool = False
    """Whether it answers a question; otherwise it goes on with a text."""
    max_beams: int = 8
    max_captions: int = 8
    max_collective: int = 16
    max_temperature: float = 2.0


PLAIN = Options()
"""A caption as the model makes it."""
ALL = frozenset(field.name for field in fields(Options)) - {"again"}
COMPLETING = Limits(ALL - {"system", "language", "collective"}, max_new_tokens=128)
"""Of a model that goes on with a text."""
CHATTING = Limits(ALL, max_new_tokens=512, chats=True)
"""Of a model that answers a question."""
ASKING = Limits(ALL - {"num_beams", "no_repeat_ngram"}, max_new_tokens=512, chats=True)
"""Of such a model behind vLLM's HTTP API."""


def ranges(limits: Limits) -> dict[str, tuple[float, float]]:
    """The least and the most of each option that is a number, of those that a model takes."""
    every = {
        "max_new_tokens": (1, limits.max_new_tokens),
        "min_new_tokens": (0, limits.max_new_tokens),
        "num_beams": (1, limits.max_beams),
        "num_captions": (1, limits.max_captions),
        "temperature": (0, limits.max_temperature),
        "seed": (0, MAX_SEED),
        "no_repeat_ngram": (2, MAX_NGRAM),
        "collective": (1, limits.max_collective),
    }
    return {name: bounds for name, bounds in every.items() if name in limits.takes}


def check(options: Options, limits: Limits, *, model: str) -> None:
    """Raise `InvalidOption`, naming the first that the model does not take, or not so."""
    for name in options.given:
        if name not in limits.takes:
            known = ", ".join(sorted(limits.takes))
            raise _invalid(name, f"the model {model!r} does not take it; it takes {known}")
    for name, (low, high) in ranges(limits).items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise _invalid(name, f"{value} is not from {low} to {high}")
    _check_together(options)


def _check_together(options: Options) -> None:
    longest, shortest = options.max_new_tokens, options.min_new_tokens
    if longest is not None and shortest is not None and shortest > longest:
        raise _invalid("min_new_tokens", f"{shortest} is more than max_new_tokens, {longest}")
    if 0 < (options.temperature or 0) < MIN_TEMPERATURE:
        raise _invalid("temperature", f"it is 0, which is the likeliest, or from {MIN_TEMPERATURE}")
    drawn, beams = bool(options.temperature), options.num_beams or 1
    if drawn and beams > 1:
        raise _invalid("num_beams", "beams find the likeliest caption; leave out the temperature")
    if options.captions > 1 and not drawn and beams < options.captions:
        raise _invalid(
            "num_captions",
            f"one picture has {options.captions} different captions only with a temperature, or "
            f"with num_beams of {options.captions} or more",
        )
    if options.seed is not None and not drawn:
        raise _invalid("seed", "nothing is drawn without a temperature above 0")


def _invalid(name: str, why: str) -> InvalidOption:
    return InvalidOption(f"{name}: {why}.", option=name)
