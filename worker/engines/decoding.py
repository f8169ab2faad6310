"""Writing captions token by token, for engines that run their network themselves.

It knows rows, tokens and logits, and nothing of pictures or weights. Rows that have ended leave as
soon as that saves work, and the loop ends with the last of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from worker.engines.generation import banned, greatest, log_probs


class Writer(Protocol):
    """A network that has seen its pictures: one row for each caption."""

    def step(self, tokens: Tensor) -> Tensor:
        """(B, T) new tokens of each row -> (B, V) float32 logits of what comes after the last."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows alone, in this order: (K,) indices."""


@dataclass(frozen=True)
class Bounds:
    """When a row ends."""

    end: int
    """The token that ends a caption."""
    longest: int
    shortest: int = 0
    no_repeat: int = 0
    """No run of so many tokens comes twice; 0: it may."""


@dataclass
class Row:
    """One caption as it is written."""

    tokens: list[int]
    log_probs: list[float]
    """One for each token that was written, not for those of the prompt."""
    stopped: bool = False

    @property
    def score(self) -> float:
        """Mean log-probability of the written tokens; 0 when there is none."""
        return sum(self.log_probs) / max(1, len(self.log_probs))


Choose = Callable[[Tensor, Sequence[int]], Tensor]
"""(B, V) logits and the numbers of their rows -> (B, 1) the next tokens."""


def likeliest(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Greedy choice."""
    del rows
    return greatest(logits)


def write(
    writer: Writer,
    prompts: Tensor,
    bounds: Bounds,
    *,
    choose: Choose = likeliest,
    stopped: Callable[[], Sequence[bool]] | None = None,
) -> list[Row]:
    """The captions that follow (B, T) prompts. After each token it is asked which are `stopped`."""
    rows = [Row(prompt, []) for prompt in prompts.tolist()]
    alive, tokens = list(range(len(rows))), prompts
    for written in range(bounds.longest):
        logits = writer.step(tokens)
        if written < bounds.shortest:
            logits[:, bounds.end] = -torch.inf
        for place, number in enumerate(alive if bounds.no_repeat else ()):
            logits[place, banned(rows[number].tokens, bounds.no_repeat)] = -torch.inf
        tokens = choose(logits, alive)
        sure = log_probs(logits, tokens).tolist()
        for number, token, log_prob in zip(alive, tokens[:, 0].tolist(), sure, strict=True):
            if not _ended(rows[number], bounds):
                rows[number].tokens.append(token)
                rows[number].log_probs.append(log_prob)
        _stop(rows, stopped, bounds)
        going = [n for n, number in enumerate(alive) if not _ended(rows[number], bounds)]
        if not going:
            break
        if 2 * len(going) <= len(alive):  # fewer: moving the rest costs more than it saves
            kept = torch.tensor(going, device=tokens.device)
            writer.keep(kept)
            alive, tokens = [alive[n] for n in going], tokens[kept]
    return rows


def _ended(row: Row, bounds: Bounds) -> bool:
    return row.stopped or (bool(row.log_probs) and row.tokens[-1] == bounds.end)


def _stop(rows: list[Row], stopped: Callable[[], Sequence[bool]] | None, bounds: Bounds) -> None:
    for row, stop in zip(rows, stopped(), strict=True) if stopped else ():
        row.stopped = row.stopped or (stop and not _ended(row, bounds))
