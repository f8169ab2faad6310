"""Traces, from a request to the batch of an engine: off unless `CAPTIONER_OTLP_ENDPOINT` is set.

As logging, it is of the process: configured once, then used wherever something is worth a span.
While it is off, a span costs one comparison, and what sends traces is not imported.

Where a span belongs is passed on as a W3C `traceparent`, here called an origin. That of a job is
kept in Redis beside the queue (docs/adr/0031): with any message any job may be worked on, so that
none can tell. Attributes are ids, counts, names of models and codes of errors, nothing else.

    request ── submit ── publish
                  └── image ── claim, decode, caption, store     (one for each picture)
                                         └── batch, linked to each of its pictures' captions

Specification: https://www.w3.org/TR/trace-context/
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from uuid import UUID

from captioner.settings import Settings

if TYPE_CHECKING:
    from captioner.otlp import Teller

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Value = str | int | float | bool
NOTHING: AbstractContextManager[None] = nullcontext()

_teller: "Teller | None" = None


def configure(settings: Settings, *, service: str) -> None:
    """Begin to tell, if an endpoint is set. Raises `RuntimeError` when the packages are missing."""
    global _teller
    if not settings.otlp_endpoint or _teller is not None:
        return
    try:
        from captioner.otlp import Teller
    except ImportError as error:
        raise RuntimeError(
            f"CAPTIONER_OTLP_ENDPOINT is set, but {error.name} is missing: install captioner[otel]."
        ) from error
    _teller = Teller(settings, service=service)


def close() -> None:
    """Tell what is left, for a few seconds at most, and be off again."""
    global _teller
    teller, _teller = _teller, None
    if teller is not None:
        teller.close()


def teller() -> "Teller | None":
    """What makes spans, while this is on."""
    return _teller


def span(
    name: str, *, origin: str = "", links: Sequence[str] = (), **attributes: Value
) -> AbstractContextManager[None]:
    """A span for the length of the block: within `origin`, else within the current one."""
    if _teller is None:
        return NOTHING
    return _teller.span(name, origin=origin, links=links, attributes=attributes)


def traced(name: str) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """A span around each call of a function."""

    def decorate(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
        @wraps(function)
        def within(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            if _teller is None:
                return function(*args, **kwargs)
            with _teller.span(name):
                return function(*args, **kwargs)

        return within

    return decorate


def mark(**attributes: Value) -> None:
    """Say more of the current span."""
    if _teller is not None:
        _teller.mark(attributes)


def here() -> str:
    """The origin of what is begun now: the current span; empty where there is none."""
    return "" if _teller is None else _teller.here()


def note(origins: Mapping[UUID, str]) -> None:
    """Keep where these jobs come from, for whoever works on them; the first word stands."""
    if _teller is not None:
        _teller.origins.note({job_id: origin for job_id, origin in origins.items() if origin})


def origins(job_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Where jobs come from, as far as it is known."""
    return {} if _teller is None else _teller.origins.of(job_ids)
