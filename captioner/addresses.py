"""One server, as different libraries write its address."""

from urllib.parse import parse_qsl


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
