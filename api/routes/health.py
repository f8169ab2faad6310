"""Is the process alive, and can it serve?"""

from flask import Blueprint, Response, jsonify

from api.current import services
from api.guard import open_to_all
from api.schemas import Alive, Ready
from captioner.readiness import reasons_not_ready

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@open_to_all
def alive() -> Response:
    """This process answers; nothing else is asked."""
    return jsonify(Alive(status="ok").model_dump())


@blueprint.get("/readyz")
@open_to_all
def ready() -> Response:
    """200 when database, broker and a worker for the default model are there; else 503.

    Also 503 from a process that is about to end.
    """
    reasons = reasons_not_ready(services())
    if services().waiting_room.is_leaving():
        reasons["api"] = "This process is about to end; ask again."
    response = jsonify(Ready(ready=not reasons, reasons=reasons).model_dump())
    if reasons:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return response
