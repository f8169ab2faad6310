"""Numbers for Prometheus."""

from flask import Blueprint, Response

from api.current import services
from captioner import metrics

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def scrape() -> Response:
    """The metrics, read from the database now."""
    text = metrics.text(services().settings, services().database)
    return Response(text, content_type=metrics.CONTENT_TYPE)
