"""Whether a caption can be had right now, and if not, why not."""

import logging
from collections.abc import Callable

from captioner import queries
from captioner.errors import CaptionerError
from captioner.services import Services
from models import SERVING

log = logging.getLogger(__name__)


def reasons_not_ready(services: Services) -> dict[str, str]:
    """Part to reason, for each part that is not ready; empty when all is well."""
    checks: dict[str, Callable[[Services], str | None]] = {
        "database": _database,
        "broker": _broker,
        "worker": _worker,
    }
    found = {name: check(services) for name, check in checks.items()}
    return {name: reason for name, reason in found.items() if reason}


def _database(services: Services) -> str | None:
    try:
        services.database.ping()
    except CaptionerError as error:
        return error.detail
    return None


def _broker(services: Services) -> str | None:
    try:
        services.publisher.ping()
    except Exception as error:  # noqa: BLE001 - each transport raises classes of its own
        log.warning("The broker does not answer: %s", error, extra={"action": "broker_away"})
        return f"The broker does not answer ({type(error).__name__})."
    return None


def _worker(services: Services) -> str | None:
    settings = services.settings
    try:
        with services.database.read() as session:
            workers = queries.live_workers(session, heartbeat_s=settings.heartbeat_s)
            staying = [worker for worker in workers if not worker.draining]
            states = [w.models[settings.model] for w in staying if settings.model in w.models]
    except CaptionerError:
        return "Unknown, as the database does not answer."
    if any(state["state"] in SERVING for state in states):
        return None
    if not states:
        return f"No worker serves the model {settings.model!r}. Start one: captioner worker."
    worst = states[0]
    return f"The model {settings.model!r} is {worst['state']}. {worst.get('detail') or ''}".strip()
