"""Who works here?"""

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.current import services
from api.guard import needs
from api.schemas import WorkerView
from captioner import queries
from models import Scope

blueprint = Blueprint("workers", __name__)


@blueprint.get("/workers")
@needs(Scope.ADMIN)
def workers() -> Response:
    """Every worker that gave a sign of life lately, those that are draining too."""
    parameters.allow(request)
    with services().database.read() as session:
        found = queries.live_workers(session, heartbeat_s=services().settings.heartbeat_s)
        views = [WorkerView.of(worker).model_dump(mode="json") for worker in found]
    return jsonify(views)
