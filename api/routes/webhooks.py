"""What was sent to a job's receiver, and sending it again."""

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.current import services
from api.deliveries import DeliveryView
from api.finding import known_id, read
from captioner.errors import InvalidRequest, WebhookNotFound
from captioner.webhooks import due, log, signing

blueprint = Blueprint("webhooks", __name__)


@blueprint.get("/captionImage/<job_id>/webhooks")
def deliveries(job_id: str) -> Response:
    """Every delivery of the job with its attempts, oldest first."""
    parameters.allow(request)
    found = read(job_id)
    with services().database.read() as session:
        logged = log.of_job(session, found.job.id)
    return jsonify([DeliveryView.of(each).model_dump(mode="json") for each in logged])


@blueprint.post("/captionImage/<job_id>/webhooks/<delivery_id>/replay")
def replay(job_id: str, delivery_id: str) -> Response:
    """Send a delivery once more, now, under the same id."""
    parameters.allow(request)
    job = known_id(job_id)
    read(job)
    signing.configured(services().settings)
    try:
        delivery = parameters.job_id(delivery_id)
    except InvalidRequest as error:
        raise _not_found(delivery_id) from error
    with services().database.write() as session:
        if not due.replay(session, job, delivery):
            raise _not_found(delivery_id)
        (again,) = (each for each in log.of_job(session, job) if each.delivery.id == delivery)
        response = jsonify(DeliveryView.of(again).model_dump(mode="json"))
    response.status_code = 202
    response.headers["Location"] = f"/captionImage/{job}/webhooks"
    return response


def _not_found(text: str) -> WebhookNotFound:
    return WebhookNotFound(f"The job has no webhook with the id {text[:64]!r}.")
