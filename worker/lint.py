"""What is wrong with a caption, by its text alone, and which of two is the better one."""

import re
from collections import Counter
from dataclasses import dataclass

from captioner.options import Fault, Length, Options
from worker.openings import has_opening, without_opening

CHARS = {
    Length.SHORT: (1, 100),
    Length.MEDIUM: (15, 400),
    Length.LONG: (80, 1500),
    Length.ALT_TEXT: (1, 124),
}
"""Characters that a caption of a length has. In those, lengths compare across languages."""

PHRASE = 12
"""Words of the longest phrase that is looked for twice in a row."""
ONE_WORD, TWO_WORDS, PHRASES = 3, 3, 2
"""How often in a row a word, two words, or more are said when it is a loop."""
SPREAD, SPREAD_TIMES = 5, 3
"""A run of so many words that comes so often is a loop, whatever is between."""
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_LETTERS = re.compile(r"([^\W\d_]{1,30}?)\1{5,}")
"""The same letters over and over: loops in scripts without spaces."""


@dataclass(frozen=True)
class Judge:
    """Finds the faults of captions that were asked for with `options`."""

    options: Options
    chats: bool
    """Whether the model answers; otherwise its captions begin with the prompt."""

    def faults(self, text: str) -> list[Fault]:
        """What is wrong with a caption, the worst first; nothing, mostly.

        What a request has set itself is no fault: whoever sets the fewest tokens gets what a model
        says in so many, and a prompt may be a stock opening.
        """
        said = self._said(text)
        if not said:
            return [Fault.EMPTY]
        found = [self._length(said)]
        if self.options.min_new_tokens is None and loop(said):
            found.insert(0, Fault.REPETITION)
        if self._has_stock_opening(said):
            found.append(Fault.STOCK_OPENING)
        return [fault for fault in found if fault is not None]

    def has_stock_opening(self, text: str) -> bool:
        """Whether that is one of its faults."""
        return self._has_stock_opening(self._said(text))

    def _has_stock_opening(self, said: str) -> bool:
        asked = self.options.prompt and not self.chats
        return not asked and self.options.length is not Length.ALT_TEXT and has_opening(said)

    def badness(self, text: str) -> tuple[bool, int, float]:
        """Of two captions, the one with less of it is the better."""
        said = words(self._said(text))
        repeated = 1 - len(set(said)) / max(1, len(said))
        return not self._said(text), len(self.faults(text)), repeated

    def _said(self, text: str) -> str:
        """What the model has said itself."""
        prompt = "" if self.chats else (self.options.prompt or "")
        begun = text.lower().startswith(prompt.lower())
        return text[len(prompt) if begun else 0 :].strip()

    def _length(self, said: str) -> Fault | None:
        options = self.options
        if options.length is None:
            return None
        if options.length is Length.ALT_TEXT:
            said = without_opening(said)
        shortest, longest = CHARS[options.length]
        forced = options.min_new_tokens is not None and options.length is not Length.ALT_TEXT
        if len(said.rstrip(".")) > longest and not forced:
            return Fault.TOO_LONG
        if len(said) < shortest and options.max_new_tokens is None:
            return Fault.TOO_SHORT
        return None


def words(text: str) -> list[str]:
    """Its words, in small letters, without what stands between them."""
    return _WORD.findall(text.lower())


def loop(text: str) -> int:
    """How many words a caption says over and over; 0 when it does not.

    "a dog dog dog" is 1, and "in the grass in the grass" is 3.
    """
    said = words(text)
    repeated = len(said) - len(set(said))
    for size in range(1, PHRASE + 1):
        times = {1: ONE_WORD, 2: TWO_WORDS}.get(size, PHRASES)
        if repeated >= size * (times - 1) and _in_a_row(said, size, times):
            return size
    if repeated >= SPREAD_TIMES - 1:
        runs = Counter(zip(*(said[n:] for n in range(SPREAD)), strict=False))
        if any(times >= SPREAD_TIMES for times in runs.values()):
            return SPREAD
    return 1 if _LETTERS.search(text) else 0


def _in_a_row(said: list[str], size: int, times: int) -> bool:
    """Whether some `size` words come `times` times, one after the other."""
    same = 0
    for one, other in zip(said, said[size:], strict=False):
        same = same + 1 if one == other else 0
        if same == size * (times - 1):
            return True
    return False
