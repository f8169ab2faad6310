"""Addresses of servers, as different libraries write them, and with what they may not have."""

from collections.abc import Sequence
from urllib.parse import SplitResult, parse_qsl, urlsplit


def split(url: str) -> SplitResult:
    """The parts of a URL. ValueError: it is none, without a word of it, as it may be secret."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # what is no number is found out here
    except ValueError:
        raise ValueError(
            "its host or port makes no sense; what means something in a URL must be "
            "percent-encoded in a password"
        ) from None
    return parts


def check(url: str, schemes: Sequence[str]) -> None:
    """Raise ValueError unless it is a URL with one of these schemes."""
    scheme, mark, _ = url.partition("://")
    if not mark or scheme.lower() not in schemes:
        *most, last = (f"{name}://" for name in schemes)
        raise ValueError(f"it must begin with {', '.join(most)} or {last}")
    split(url)


def for_celery(url: str) -> str:
    """The broker's URL as Celery takes it: a Redis socket's path has another form there."""
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    number = dict(parse_qsl(query)).get("db", "0")
    return f"redis+socket://{path}?virtual_host={number}"


def for_people(url: str) -> str:
    """The URL without user, password and options; they are no matter of a terminal."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.rpartition("@")[2].partition("?")
    number = dict(parse_qsl(query)).get("db")
    return f"{scheme}://{place}" + (f"?db={number}" if number else "")
