"""What our options mean to transformers' `generate`, and what is kept of its steps."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, StoppingCriteria

from captioner.errors import InvalidPrompt
from captioner.options import Options
from worker.engines.protocol import Stopped


def rows_per_picture(options: Options) -> int:
    """How often a picture's inputs are given to `generate`: once for each caption that is drawn."""
    return options.captions if options.temperature else 1


def span(options: Options, *, given: int, places: int | None, usual: int) -> tuple[int, int]:
    """The fewest and the most tokens of a caption after `given` ones, for which a network has so
    many places; `None`: no end of them. Without a wish it is `usual`, or as many as there is room.

    Raises `InvalidPrompt` when what was asked for has no room.
    """
    shortest = options.min_new_tokens or 0
    # The last token is not read again, and needs no place.
    room = max(usual, shortest) if places is None else places - given + 1
    longest = options.max_new_tokens or max(1, shortest, min(usual, room))
    if places is not None and longest > room:
        raise InvalidPrompt(
            f"The prompt is too long for this model: with {given} tokens there is room for "
            f"{max(0, room)} more, and the caption may have {longest}. Shorten the prompt, or ask "
            "for a shorter caption."
        )
    return min(shortest, longest), longest


def arguments(options: Options, *, shortest: int, longest: int) -> dict[str, Any]:
    """The arguments of `generate` that follow from the options."""
    beams = options.num_beams or 1
    return {
        "max_new_tokens": longest,
        "min_new_tokens": shortest,
        "num_beams": beams,
        "num_return_sequences": options.captions if beams > 1 else 1,
        "length_penalty": 1.0,
        "do_sample": False,  # what is drawn is drawn by `Chooser`, row by row
        "return_dict_in_generate": True,
        "output_scores": beams > 1,
    }


def seeds(options: Options, *, rows: int) -> list[int | None]:
    """A seed for each row: the same for each picture, whatever else is in its batch."""
    each = rows_per_picture(options)
    if options.seed is None:
        return [None] * rows
    return [options.seed + row % each for row in range(rows)]


class Dice:
    """Draws tokens, each row by a generator of its own, so that it draws the same in any batch.

    A draw is the greatest of logits with Gumbel noise added, which is distributed as their softmax
    (Maddison, Tarlow and Minka, 2014). Without a temperature it is the likeliest.
    """

    def __init__(self, temperature: float | None, seeds: Sequence[int | None]) -> None:
        self._temperature = temperature
        self._generators = [_generator(seed) for seed in seeds] if temperature else []

    def shake(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(B, V) logits of these rows, such that the greatest is the token that is drawn."""
        if not self._temperature:
            return logits
        drawn = torch.empty(len(rows), logits.shape[-1], dtype=torch.float32)
        for row, noise in zip(rows, drawn, strict=True):
            noise.uniform_(generator=self._generators[row])
        uniform = drawn.clamp_(min=1e-20)
        return logits / self._temperature - (-uniform.log()).log().to(logits.device)

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """(B, 1) the tokens that are drawn."""
        return greatest(self.shake(logits, rows))


def greatest(logits: torch.Tensor) -> torch.Tensor:
    """(B, 1) where each of the (B, V) rows is greatest.

    On a CPU by NumPy: the threads that PyTorch wakes for so little go on spinning for milliseconds,
    on a processor that OpenVINO's next step needs. The same holds for `log_probs`.
    """
    if logits.device.type != "cpu":
        return logits.argmax(-1, keepdim=True)
    return torch.from_numpy(logits.numpy().argmax(-1, keepdims=True))


def log_probs(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """(B,) log-probability of each of the (B, 1) tokens under (B, V) float32 logits."""
    if logits.device.type != "cpu":
        return (logits.gather(-1, tokens) - logits.logsumexp(-1, keepdim=True))[:, 0]
    values = logits.numpy()
    above = values.max(-1, keepdims=True)
    total = np.log(np.exp(values - above).sum(-1, keepdims=True)) + above
    chosen = np.take_along_axis(values, tokens.numpy(), -1)
    return torch.from_numpy((chosen - total)[:, 0])


class Chooser(LogitsProcessor):
    """Lets `generate` take what the dice say, and keeps the log-probability of each token."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        del input_ids
        shaken = self._dice.shake(scores, range(len(scores)))
        self._log_probs.append(log_probs(scores.float(), greatest(shaken.float())))
        return shaken  # type: ignore[return-value]

    def means(self, lengths: Sequence[int]) -> list[float]:
        """For each row, the mean of its first tokens, as many as `lengths` says."""
        if not self._log_probs:
            return [0.0] * len(lengths)
        kept = torch.stack(self._log_probs, dim=1).tolist()
        return [
            sum(row[:length]) / max(1, length) for row, length in zip(kept, lengths, strict=True)
        ]


def banned(tokens: Sequence[int], size: int) -> list[int]:
    """The tokens that would end a run of `size` tokens, two or more, that was there before.

    As transformers' `NoRepeatNGramLogitsProcessor`.
    """
    last = list(tokens[len(tokens) - size + 1 :])
    starts = range(len(tokens) - size + 1)
    return [tokens[n + size - 1] for n in starts if list(tokens[n : n + size - 1]) == last]


class NoRepeat(LogitsProcessor):
    """Bans what was said before, in the caption alone: never for the sake of a question."""

    def __init__(self, size: int, *, kept: int) -> None:
        self._size = size
        self._kept = kept  # the first token that is part of the caption

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        for row, tokens in enumerate(input_ids[:, self._kept :].tolist()):
            scores[row, banned(tokens, self._size)] = -torch.inf
        return scores


def _generator(seed: int | None) -> torch.Generator:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


class Cut(StoppingCriteria):
    """Ends the rows of pictures that are stopped; the others go on as if alone. Asked after each
    token.
    """

    def __init__(
        self, stopped: Stopped, *, pictures: int, ends: Collection[int], given: int
    ) -> None:
        self.pictures = [False] * pictures
        """Those that were ended before they had come to their own end."""
        self._stopped = stopped
        self._ends = frozenset(ends)
        self._given = given  # tokens of the input, which may have ends in them

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **_: Any
    ) -> torch.Tensor:
        del scores
        each = len(input_ids) // len(self.pictures)
        for picture, stopped in enumerate(self._stopped()):
            if stopped and not self.pictures[picture]:
                rows = input_ids[picture * each : (picture + 1) * each, self._given :].tolist()
                self.pictures[picture] = any(self._ends.isdisjoint(row) for row in rows)
        cut = torch.tensor(self.pictures, dtype=torch.bool, device=input_ids.device)
        return cut.repeat_interleave(each)
