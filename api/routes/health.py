"""Is the process alive, and can it serve?"""

from flask import Blueprint, Response, jsonify

from api.current import services
from api.schemas import Alive, Ready
from captioner.readiness import reasons_not_ready

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    """This process answers; nothing else is asked."""
    return jsonify(Alive(status="ok").model_dump())


@blueprint.get("/readyz")
def ready() -> Response:
    """200 when the database, the broker and a worker for the default model are there; else 503."""
    reasons = reasons_not_ready(services())
    response = jsonify(Ready(ready=not reasons, reasons=reasons).model_dump())
    if reasons:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return response
