"""Delete a job."""

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.current import caller, services
from api.finding import known_id
from api.removed import Deleted

blueprint = Blueprint("deleting", __name__)


@blueprint.delete("/captionImage/<job_id>")
def delete(job_id: str) -> Response:
    """Remove the job, in any state, and the pictures that no other job uses."""
    parameters.allow(request)
    deletion = services().retention.delete(known_id(job_id), owner=caller().sees)
    return jsonify(Deleted.of(deletion).model_dump(mode="json"))
