"""The words of content of a caption, by a search engine's own analysis of texts.

Tantivy cuts a text into words and leaves out those that a search leaves out, by the Snowball lists
of stop words that it brings. See docs/adr/0019.
"""

import re
from functools import cache

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

MOST = 16
"""Tags of one caption."""
SHORTEST = 2
LISTS = {
    "da": "danish",
    "de": "german",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ru": "russian",
    "sv": "swedish",
}
"""Languages whose stop words are known. Of others every word counts."""
OF_PICTURES = (
    "image", "images", "picture", "pictures", "photo", "photos", "photograph", "photographs",
    "background", "foreground", "front", "back", "left", "right", "top", "bottom", "middle", "side",
    "next", "near", "behind", "beside", "around", "upon", "across", "along", "one", "two", "three",
    "four", "five", "several", "many", "some", "couple", "few", "also", "another",
)  # fmt: skip
"""What English captions say of where and how much, and that they are of a picture."""
REMAINS = ("isn", "aren", "doesn", "don")
"""What is left of "isn't"."""
_SHORTENED = re.compile(r"['\u2019](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)


def tags(caption: str, *, language: str | None = None) -> tuple[str, ...]:
    """Its words of content, in small letters, each once and in order: at most 16.

    `language` is what the caption was asked for in, in words or as a tag; English if it is `None`.
    """
    analyzer = _analyzer(_list_of(language))
    found = analyzer.analyze(_SHORTENED.sub("", caption))
    return tuple(dict.fromkeys(word for word in found if _says(word)))[:MOST]


def _says(word: str) -> bool:
    return len(word) >= SHORTEST and not word.isnumeric()


def _list_of(language: str | None) -> str | None:
    asked = (language or "en").strip().lower()
    name = LISTS.get(re.split("[-_]", asked)[0], asked)
    return name if name in LISTS.values() else None


@cache
def _analyzer(words: str | None) -> TextAnalyzer:
    builder = TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.lowercase())
    if words is not None:
        builder = builder.filter(Filter.stopword(words))
    if words == "english":
        builder = builder.filter(Filter.custom_stopword([*OF_PICTURES, *REMAINS]))
    return builder.build()
