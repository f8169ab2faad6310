"""`Retry-After`, as others send it (RFC 9110, section 10.2.3)."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 1e9
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def seconds(header: str) -> float:
    """How long it asks to wait: a number of seconds, or until a date. Never raises.

    0 for a date that has passed, and for what is neither.
    """
    text = header.strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), LONGEST_S)
    try:
        then = parsedate_to_datetime(text)
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):  # the last: a year that no calendar has
        return 0.0
