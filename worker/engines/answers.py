"""One call of `generate` for a batch, and what its rows say: what engines of weights share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, StoppingCriteriaList

from captioner.options import Options
from worker.engines.generation import (
    Chooser,
    Cut,
    Dice,
    NoRepeat,
    arguments,
    rows_per_picture,
    seeds,
    span,
)
from worker.engines.protocol import Caption, Stopped, ranked


@dataclass(frozen=True)
class Frame:
    """How a row of `generate` is read."""

    given: int
    """Tokens at its beginning that were given, not chosen."""
    kept: int
    """The first token that is part of the caption."""
    ends: frozenset[int]
    """Each of them ends a caption. What follows is padding."""
    tokenizer: Any
    places: int | None
    """Tokens that the network can tell the place of, given ones and others. `None`: all."""


def answers(
    generate: Callable[..., Any],
    inputs: Mapping[str, torch.Tensor],
    options: Options,
    *,
    frame: Frame,
    max_new_tokens: int,
    stopped: Stopped | None,
) -> list[Caption | None]:
    """One caption per picture, from `inputs` that have one row for each.

    After each token it is asked which captions are `stopped`; those end there, as `None`. Raises
    `InvalidPrompt` when there is no room for a caption.
    """
    shortest, longest = span(options, given=frame.given, places=frame.places, usual=max_new_tokens)
    pictures = len(next(iter(inputs.values())))
    each = rows_per_picture(options)
    chooser = Chooser(Dice(options.temperature, seeds(options, rows=each * pictures)))
    cut = _cut(stopped, pictures, frame) if stopped else None
    made = generate(
        **{name: tensor.repeat_interleave(each, 0) for name, tensor in inputs.items()},
        **arguments(options, shortest=shortest, longest=longest),
        logits_processor=_processors(options, chooser, frame),
        stopping_criteria=StoppingCriteriaList([cut] if cut else []),
    )
    captions = _read(made, chooser, frame)
    each = options.captions
    return [
        None if cut and cut.pictures[n] else ranked(captions[n * each : (n + 1) * each])
        for n in range(pictures)
    ]


def _processors(options: Options, chooser: Chooser, frame: Frame) -> LogitsProcessorList:
    size, beams = options.no_repeat_ngram, (options.num_beams or 1) > 1
    found = [NoRepeat(size, kept=frame.kept)] if size else []
    return LogitsProcessorList([*found, *([] if beams else [chooser])])


def _cut(stopped: Stopped, pictures: int, frame: Frame) -> Cut:
    return Cut(stopped, pictures=pictures, ends=frame.ends, given=frame.given)


def _read(made: Any, chooser: Chooser, frame: Frame) -> list[Caption]:
    rows = [_to_end(row, frame) for row in made.sequences.tolist()]
    scored = getattr(made, "sequences_scores", None)
    if scored is None:
        scores = chooser.means([len(row) - frame.given for row in rows])
    else:
        scores = scored.tolist()
    return [
        Caption(words(row, frame.tokenizer), tuple(row), score)
        for row, score in zip((row[frame.kept :] for row in rows), scores, strict=True)
    ]


def _to_end(row: Sequence[int], frame: Frame) -> Sequence[int]:
    for place in range(frame.given, len(row)):
        if row[place] in frame.ends:
            return row[: place + 1]
    return row


def words(row: Sequence[int], tokenizer: Any) -> str:
    """The text of tokens, without the special ones."""
    text: str = tokenizer.decode(row, skip_special_tokens=True)
    return text.strip()


def ends_of(generation: Any) -> frozenset[int]:
    """The tokens at which `generate` stops, by its own configuration."""
    ends = generation.eos_token_id
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])


def places_of(text_config: Any) -> int | None:
    """How many tokens a text network can tell the place of, by its configuration."""
    places: int | None = getattr(text_config, "max_position_embeddings", None)
    return places
