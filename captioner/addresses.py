"""One server, as different libraries write its address."""

from urllib.parse import parse_qsl


def for_celery(url: str) -> str:
    """The broker's URL as Celery takes it: a Redis socket's path has another form there."""
    if not url.startswith("unix://"):
        return url
    path, _, query = url.removeprefix("unix://").partition("?")
    number = dict(parse_qsl(query)).get("db", "0")
    return f"redis+socket://{path}?virtual_host={number}"
