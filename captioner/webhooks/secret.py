"""The form of a secret, and making one."""

import base64
import binascii
import secrets

PREFIX = "whsec_"
MIN_BYTES, MAX_BYTES = 24, 64


def new_secret() -> str:
    """A secret of 32 random bytes, in the specification's form."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def is_secret(text: str) -> bool:
    """Whether the text is `whsec_` and 24 to 64 bytes in base64."""
    if not text.startswith(PREFIX):
        return False
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return MIN_BYTES <= len(key) <= MAX_BYTES
