"""Query parameters and headers, checked by name and value."""

import re
from uuid import UUID

from flask import Request

from captioner.errors import InvalidIdempotencyKey, InvalidRequest
from captioner.settings import Settings
from models import JobState

MAX_LIMIT = 100
MAX_IDS = 100


def allow(request: Request, *names: str) -> None:
    """Refuse query parameters other than these."""
    for name in request.args:
        if name not in names:
            known = f"known here: {', '.join(names)}" if names else "none is known here"
            raise InvalidRequest(f"The query parameter {name[:64]!r} is unknown; {known}.")


def job_id(text: str, *, name: str = "id") -> UUID:
    """A job id, with or without dashes."""
    if not re.fullmatch(
        r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", text
    ):
        raise InvalidRequest(f"{name}={text[:64]!r} is not a job id.")
    return UUID(text)


def job_ids(request: Request) -> list[UUID]:
    """Every `id` of the query."""
    texts = request.args.getlist("id")
    if len(texts) > MAX_IDS:
        raise InvalidRequest(f"{len(texts)} ids were given; at most {MAX_IDS} are allowed.")
    return [job_id(text) for text in texts]


def states(request: Request) -> list[JobState]:
    """Every `status` of the query."""
    texts = request.args.getlist("status")
    known = [state.value for state in JobState]
    for text in texts:
        if text not in known:
            raise InvalidRequest(f"status={text[:64]!r} is not one of {', '.join(known)}.")
    return [JobState(text) for text in texts]


def limit(request: Request) -> int:
    """How many jobs to list."""
    text = request.args.get("limit", str(MAX_LIMIT))
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidRequest(f"limit={text[:64]!r} is not a number from 1 to {MAX_LIMIT}.")
    return int(text)


def flag(request: Request, name: str) -> bool:
    """Whether `?name=true` was sent."""
    text = request.args.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidRequest(f"{name}={text[:64]!r} is not one of true, false.")
    return text == "true"


def only_failed(request: Request) -> bool:
    """Whether `?only=failed` was sent."""
    text = request.args.get("only")
    if text not in (None, "failed"):
        raise InvalidRequest(f"only={text[:64]!r} is not 'failed'.")
    return text is not None


def cancel_after_s(request: Request) -> float | None:
    """Seconds after which a job's work stops, from `Cancel-After`; `None` when it is not sent."""
    text = request.headers.get("Cancel-After")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text) or float(text) == 0:
        raise InvalidRequest(f"Cancel-After: {text[:64]!r} is not a number of seconds above 0.")
    return float(text)


def idempotency_key(request: Request) -> str | None:
    """The key, with or without the quotes of a structured field. Raises what says it is not one."""
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if not re.fullmatch(r"[\x20-\x7e]{1,255}", key) or not key.strip():
        raise InvalidIdempotencyKey(
            f"The Idempotency-Key has {len(key)} characters; send 1 to 255 printable ASCII ones."
        )
    return key


def anew(request: Request) -> bool:
    """Whether no caption may be one that was made before: `Cache-Control: no-cache` (RFC 9111)."""
    wishes = request.headers.get("Cache-Control", "").lower().split(",")
    return "no-cache" in (wish.strip() for wish in wishes)


def wait_s(request: Request, settings: Settings) -> float:
    """Seconds that a blocking call waits: `?timeout=`, else `Prefer: wait=`, else the default.

    `timeout` above the longest wait is refused; `Prefer` is only a wish and is cut.
    """
    text = request.args.get("timeout")
    if text is not None:
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text):
            raise InvalidRequest(f"timeout={text[:64]!r} is not a number of seconds.")
        if float(text) > settings.max_wait_s:
            raise InvalidRequest(
                f"timeout={text} is above the longest wait, {settings.max_wait_s:g}."
            )
        return float(text)
    wish = re.search(
        r"(?:^|[,;\s])wait\s*=\s*\"?([0-9]{1,6})\"?", request.headers.get("Prefer", "")
    )
    return min(float(wish[1]), settings.max_wait_s) if wish else settings.wait_s
