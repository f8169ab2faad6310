"""Numbers for Prometheus."""

from flask import Blueprint, Response

from api.current import services
from api.guard import METRICS, needs
from captioner import metrics

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@needs(METRICS)
def scrape() -> Response:
    """The metrics: of the whole service as the database has them, and of this API's own traffic."""
    text = metrics.text(services().settings, services().database) + services().traffic.text()
    return Response(text, content_type=metrics.CONTENT_TYPE)
