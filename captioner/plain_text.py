"""What a model or another server writes, made fit for a database, JSON and a page."""

import re

# Controls but tabs and line feeds, and halves of surrogate pairs: Postgres refuses a NUL, SQLite
# reads no further than to it, and half a character cannot be sent.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def plain(text: str) -> str:
    """The text without control characters, but for tabs and line feeds, and without halves of
    characters.
    """
    return text if text.isprintable() else _UNFIT.sub("", text)
