"""For administrators: what concerns the service as a whole."""

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.current import services
from api.guard import needs
from api.schemas import CacheReset
from models import Scope

blueprint = Blueprint("admin", __name__)


@blueprint.post("/api/admin/reset-cache")
@needs(Scope.ADMIN, always=True)
def reset_cache() -> Response:
    """Forget the captions that are remembered, all or those of one model, and nothing else."""
    parameters.allow(request, "model")
    model = request.args.get("model")
    forgotten = services().cache.purge(model)
    return jsonify(CacheReset(status="ok", model=model, forgotten=forgotten).model_dump())
