"""What is taken from a styler's answer: captions of the styles that were asked for, and no more.

Whatever else is in it is dropped: other styles, captions beyond the count, those that are too long,
say the same twice, or repeat the rules. Control characters and, where they were not wanted, emoji
and hashtags are taken out.
"""

import re
import unicodedata
from typing import Any

from pydantic_core import from_json

from captioner.errors import InvalidStyle, StylerGarbled
from captioner.styles import JOINERS, Style, Styling, named
from worker.styling.brief import AGAIN, FORM, GENTLY, MAX_CAPTION_CHARS, RULES

MAX_ANSWER_CHARS = 200_000
ECHO_WORDS = 7
"""A run of so many words of the rules is no coincidence."""
_HASHTAG = re.compile(r"\s*#\w+")
_EMOJI = re.compile(
    "\\s*[\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff\U000e0020-\U000e007f\u200d\u20e3\ufe0f]+"
)
_WORD = re.compile(r"\w+")

Captions = tuple[tuple[Style, tuple[str, ...]], ...]
"""Styles in the order in which they were asked for, each with its captions."""


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.casefold())
    return {tuple(words[n : n + ECHO_WORDS]) for n in range(len(words) - ECHO_WORDS + 1)}


_RULES = _runs(RULES) | _runs(FORM) | _runs(AGAIN) | _runs(GENTLY)


class Reading:
    """Gathers the captions of one image from one answer, or from two that complete each other."""

    def __init__(self, styling: Styling) -> None:
        self._styling = styling
        self._found: dict[Style, tuple[str, ...]] = {}

    def take(self, answer: str) -> Captions:
        """All captions, now that this answer came too. Raises `StylerGarbled` when some lack."""
        for style, captions in self._read(answer, partial=False).items():
            if len(captions) == self._styling.count:
                self._found.setdefault(style, captions)
        lacking = [style for style in self._styling.styles if style not in self._found]
        if lacking:
            raise StylerGarbled(
                f"The answer has no {self._styling.count} usable captions of: {', '.join(lacking)}."
            )
        return tuple((style, self._found[style]) for style in self._styling.styles)

    def so_far(self, answer: str) -> Captions:
        """What an answer that is not whole yet has. Its last caption may be cut short."""
        found = {**self._read(answer, partial=True), **self._found}
        return tuple((style, found[style]) for style in self._styling.styles if found.get(style))

    def _read(self, answer: str, *, partial: bool) -> dict[Style, tuple[str, ...]]:
        found: dict[Style, tuple[str, ...]] = {}
        for entry in _entries(answer, partial=partial):
            style = _style_of(entry)
            captions = entry.get("captions")
            if style in self._styling.styles and style not in found and isinstance(captions, list):
                found[style] = self._usable(captions)
        return found

    def _usable(self, captions: list[Any]) -> tuple[str, ...]:
        texts = [self._cleaned(text) for text in captions if isinstance(text, str)]
        kept = [text for text in texts if text and not _is_wrong(text)]
        return tuple(dict.fromkeys(kept))[: self._styling.count]

    def _cleaned(self, text: str) -> str:
        if not self._styling.hashtags:
            text = _HASHTAG.sub("", text)
        if not self._styling.emoji:
            text = _EMOJI.sub("", text)
        return " ".join("".join(filter(None, map(_shown, text))).split())


def _shown(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp"):
        return " "
    hidden = kind in ("Cf", "Cs", "Co", "Cn") and character not in JOINERS
    return "" if hidden else character


def _is_wrong(text: str) -> bool:
    return len(text) > MAX_CAPTION_CHARS or not _RULES.isdisjoint(_runs(text))


def _style_of(entry: dict[str, Any]) -> Style | None:
    try:
        return named(str(entry.get("style", "")))
    except InvalidStyle:
        return None


def _entries(answer: str, *, partial: bool) -> list[dict[str, Any]]:
    """The entries of an answer, whatever stands around its JSON; none where there is no JSON."""
    begins = re.search(r"[\[{]", answer[:MAX_ANSWER_CHARS])
    if begins is None or len(answer) > MAX_ANSWER_CHARS:
        return []
    text = answer[begins.start() :]
    if not partial:
        text = text[: max(text.rfind("}"), text.rfind("]")) + 1]
    try:
        given = from_json(text, allow_partial="trailing-strings" if partial else False)
    except (ValueError, RecursionError):
        return []
    listed = given.get("styles") if isinstance(given, dict) else given
    return (
        [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    )
