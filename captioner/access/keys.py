"""The form of an API key, and making one.

    cap_ 4kT9bQ2x a…32 more characters…z 0f9ZkA
    what  prefix  the secret: 190 bits   CRC-32 of all before it

The form is that of other services' tokens, so that scanners of repositories can find one, and a
mistyped key is refused without a look at the database. Only its sha-256 is stored: that is enough
for a secret that nobody could guess, and, other than a slow digest, it costs a request nothing.
"""

import hashlib
import re
import secrets
import string
from zlib import crc32

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
MARK = "cap_"
PREFIX_CHARS, SECRET_CHARS, SUM_CHARS = 8, 32, 6
FORM = re.compile(rf"{MARK}[0-9A-Za-z]{{{PREFIX_CHARS + SECRET_CHARS + SUM_CHARS}}}")


def new_key() -> str:
    """A key that nobody has."""
    body = MARK + "".join(secrets.choice(DIGITS) for _ in range(PREFIX_CHARS + SECRET_CHARS))
    return body + sum_of(body)


def is_key(text: str) -> bool:
    """Whether the text has the form of a key, and its sum is right."""
    return bool(FORM.fullmatch(text)) and text[-SUM_CHARS:] == sum_of(text[:-SUM_CHARS])


def prefix_of(key: str) -> str:
    """Its beginning, which is no secret."""
    return key[: len(MARK) + PREFIX_CHARS]


def digest(key: str) -> str:
    """What is stored of it: sha-256, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def sum_of(body: str) -> str:
    """What stands at its end."""
    number, text = crc32(body.encode("ascii")), ""
    for _ in range(SUM_CHARS):
        number, digit = divmod(number, len(DIGITS))
        text = DIGITS[digit] + text
    return text
