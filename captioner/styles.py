"""The styles that a caption can be written in, and what a request may wish of them. No torch."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Self

from captioner.errors import InvalidStyle

MAX_COUNT = 5
MAX_TONE_CHARS = 500
MAX_LANGUAGE_CHARS = 64
MAX_NAME_CHARS = 64
JOINERS = "\u200c\u200d"
"""Not printable by themselves: they join letters of Persian, and emoji of several parts."""
ALL = "all"
"""The word for every style."""


class Style(StrEnum):
    """A way to write a caption, as it is named to callers."""

    WITTY = "Witty"
    INSPIRATIONAL = "Inspirational"
    MINIMALIST = "Minimalist"
    POETIC = "Poetic"
    INTRIGUING = "Intriguing Q&A"
    EVOCATIVE = "Evocative"
    FEELING = "Feeling-focused"
    SHORT = "Short & Punchy"


class Styler(StrEnum):
    """Who writes styled captions."""

    GEMINI = "gemini"
    OPENAI = "openai"
    """A server that speaks OpenAI's API: Ollama, vLLM, llama.cpp and others."""
    LOCAL = "local"
    """A chat model that the workers serve."""


class StyleStatus(StrEnum):
    """What came of a wish for styles."""

    STYLED = "styled"
    """Every style that was asked for is there."""
    FALLBACK = "fallback"
    """No styles: the image has its plain caption, and a warning says why."""


ALIASES: dict[Style, tuple[str, ...]] = {
    Style.WITTY: ("funny", "humorous", "humor", "humour", "clever", "playful"),
    Style.INSPIRATIONAL: ("inspiring", "motivational", "motivating", "uplifting"),
    Style.MINIMALIST: ("minimal", "minimalistic", "aesthetic", "simple"),
    Style.POETIC: ("poem", "lyrical"),
    Style.INTRIGUING: ("question", "questions", "qa", "engaging", "curious"),
    Style.EVOCATIVE: ("descriptive", "vivid", "cinematic", "storytelling"),
    Style.FEELING: ("feelings", "emotional", "heartfelt", "mood"),
    Style.SHORT: ("punchy", "brief", "snappy"),
}
"""Other first words of a style's name."""

MEANINGS: dict[Style, str] = {
    Style.WITTY: "clever and light, a smile or a play on words",
    Style.INSPIRATIONAL: "uplifting, it encourages",
    Style.MINIMALIST: "a few plain words and nothing more",
    Style.POETIC: "lyrical, with rhythm and an image",
    Style.INTRIGUING: "it asks the reader a question that invites an answer",
    Style.EVOCATIVE: "vivid, it appeals to the senses",
    Style.FEELING: "about the feeling of the moment, warm and honest",
    Style.SHORT: "at most six words, with a punch",
}
"""What each is, in words: stylers are told these."""

_WORD = re.compile(r"[a-z]+")
_BY_WORD = {
    word: style
    for style in Style
    for word in (_WORD.findall(style.value.casefold())[0], *ALIASES[style])
}


def named(name: str) -> Style:
    """The style of a name: its own, a longer one that begins with the same word ("Poetic /
    Lyrical"), or an alias, in any case. Raises `InvalidStyle`, naming it.
    """
    words = _WORD.findall(name.casefold())
    if "".join(words) == "qa":
        words = ["qa"]
    style = _BY_WORD.get(words[0]) if words and len(name) <= MAX_NAME_CHARS else None
    if style is None:
        raise InvalidStyle(
            f"styles: {_shown(name)} is not a style; known are {', '.join(Style)}, or {ALL!r}.",
            option="styles",
        )
    return style


def listed(text: str) -> list[str]:
    """The names in one text, with commas between.

    A longer name may have commas of its own: what follows one in small letters, in two words or
    more of which none names a style, belongs to the name before ("Short and punchy, under ten
    words"). Anything else is a name, and refused by `named` if there is no such style.
    """
    names: list[str] = []
    for part in map(str.strip, text.split(",")):
        if names and _goes_on(part):
            names[-1] = f"{names[-1]}, {part}"
        else:
            names.append(part)
    return names


def _goes_on(part: str) -> bool:
    words = part.split()
    plain = len(words) > 1 and all(word.isalnum() for word in words)
    return plain and part[0].islower() and not any(word in _BY_WORD for word in words)


@dataclass(frozen=True)
class Styling:
    """What a request wishes beside its plain captions. It is stored with the job."""

    styles: tuple[Style, ...] = tuple(Style)
    count: int = 2
    """How many captions of each style."""
    language: str | None = None
    """In words or as a tag. `None`: that of the plain caption."""
    emoji: bool = True
    hashtags: bool = True
    tone: str | None = None
    """In the caller's own words."""
    styler: Styler | None = None
    """`None`: the server's."""

    def to_json(self) -> str:
        """As it is stored: names in order."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` made. Names of a later version are left out."""
        stored = json.loads(text)
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        known["styles"] = tuple(Style(name) for name in known.get("styles", Style))
        known["styler"] = Styler(known["styler"]) if known.get("styler") else None
        return cls(**known)


def styling(
    *,
    styles: Iterable[str],
    count: int | None = None,
    language: str | None = None,
    emoji: bool | None = None,
    hashtags: bool | None = None,
    tone: str | None = None,
    styler: str | None = None,
) -> Styling:
    """A wish from what a caller sent; what is `None` is left at its default.

    Each style counts once, in the order in which they were named. Raises `InvalidStyle`, whose
    `option` is the name of the field that is wrong.
    """
    plain = Styling()
    return Styling(
        styles=_styles(styles),
        count=_count(plain.count if count is None else count),
        language=_text("style_language", language, MAX_LANGUAGE_CHARS),
        emoji=plain.emoji if emoji is None else emoji,
        hashtags=plain.hashtags if hashtags is None else hashtags,
        tone=_text("style_tone", tone, MAX_TONE_CHARS),
        styler=None if styler is None else _styler(styler),
    )


def _styles(names: Iterable[str]) -> tuple[Style, ...]:
    given = list(names)
    if not given:
        raise InvalidStyle("styles: name at least one style.", option="styles")
    if any(name.strip().casefold() == ALL for name in given):
        return tuple(Style)
    return tuple(dict.fromkeys(map(named, given)))


def _count(count: int) -> int:
    if not 1 <= count <= MAX_COUNT:
        raise InvalidStyle(
            f"style_count: {count} is not from 1 to {MAX_COUNT}.", option="style_count"
        )
    return count


def _text(name: str, text: str | None, most: int) -> str | None:
    text = (text or "").strip()
    if len(text) > most:
        raise InvalidStyle(
            f"{name}: it has {len(text)} characters; at most {most} are allowed.", option=name
        )
    if not all(character.isprintable() or character in JOINERS for character in text):
        raise InvalidStyle(f"{name}: it holds control characters. Send plain text.", option=name)
    return text or None


def _styler(name: str) -> Styler:
    try:
        return Styler(name.strip().casefold())
    except ValueError:
        raise InvalidStyle(
            f"styler: {_shown(name)} is not one of {', '.join(Styler)}.", option="styler"
        ) from None


def _shown(name: str) -> str:
    return ascii(name[:MAX_NAME_CHARS]) if not name.isprintable() else repr(name[:MAX_NAME_CHARS])
