"""A caption as the `alt` text of a web page: short, a sentence, about what the picture shows.

W3C, "Images Tutorial: Tips and Tricks": be succinct, use punctuation, and do not say that an image
is one.
"""

import unicodedata

from worker.endings import ENDINGS, STOPS, without_loose_end
from worker.openings import capital, has_opening, without_opening

MAX_CHARS = 125
_OPENERS = ("P", "Z", "C")
"""Categories of characters, by their first letter, that no sentence here begins with."""


def alt_text(text: str) -> str:
    """The caption as alt text; the empty string when nothing is left of it.

    At most 125 characters, cut between sentences or words. It has no stock opening, begins with a
    capital where there are any, and ends with a full stop.
    """
    said = _opened(" ".join(text.split()))
    ended = _ended(said)
    if len(ended) <= MAX_CHARS:
        return ended
    sentences = _first_sentences(said)
    return _ended(sentences or _cut(said))


def _ended(said: str) -> str:
    """With one full stop at its end: the one that it has, or one of its script."""
    body = said.rstrip(ENDINGS)
    if not body:
        return ""
    if said[len(body) : len(body) + 1] in (*STOPS,):
        return said[: len(body) + 1]
    return body + ("\u3002" if "\u3040" <= body[-1] <= "\u9fff" else ".")


def _opened(text: str) -> str:
    """Without what it may not begin with, whatever comes first."""
    while True:
        begun = capital(_trimmed(text))
        if not has_opening(begun):
            return begun
        text = without_opening(begun)


def _trimmed(text: str) -> str:
    start = 0
    while start < len(text) and unicodedata.category(text[start])[0] in _OPENERS:
        start += 1
    return text[start:]


def _first_sentences(text: str) -> str:
    """As many whole sentences as there is room for; maybe none."""
    ends = [
        n + 1
        for n, mark in enumerate(text[:MAX_CHARS])
        if (mark == "." and text[n + 1 : n + 2] == " ") or mark in STOPS[1:]
    ]
    return text[: ends[-1]] if ends and ends[-1] > MAX_CHARS // 4 else ""


def _cut(text: str) -> str:
    """As many words as there is room for with a full stop; of one long word, its beginning."""
    room = MAX_CHARS - 1
    if " " not in text[: room + 1]:
        return text[:room]
    return without_loose_end(text[: room + 1].rpartition(" ")[0])
