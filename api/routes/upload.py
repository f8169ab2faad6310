"""One picture in, its captions in every style out: the route of Instagram caption generators."""

from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.blocking import still_running, submit, wait
from api.bodies import read_submission
from api.current import services
from api.delivery import forget_when_sent
from api.errors import STATUS, problem
from api.image_view import ImageView
from api.routes.captions import answered
from api.routes.events import accepted_stream
from api.schemas import Urls
from api.streams import MEDIA_TYPE
from api.style_view import StyleOffer
from api.wishes import NAMES, wish_of
from captioner.errors import (
    NoImages,
    TooManyImages,
    UnsupportedMediaType,
)
from captioner.queries import JobRead
from captioner.styles import ALL, StyleStatus
from captioner.submission import Submission
from models import JobState

blueprint = Blueprint("upload", __name__)


@blueprint.post("/upload_image/")
def upload() -> Response:
    """Store a job of one picture, wait for it, and answer with its styles alone."""
    parameters.allow(request, "timeout", *NAMES)
    wait_s = parameters.wait_s(request, services().settings)
    job_id, state = submit(_submission)
    if MEDIA_TYPE in request.accept_mimetypes.values():
        return accepted_stream(job_id, state)
    ended = wait(job_id, state, wait_s=wait_s)
    if isinstance(ended, JobState):
        return still_running(job_id, ended)
    return forget_when_sent(_styles(ended), ended.job)


@blueprint.get("/api/styles")
def styles() -> Response:
    """The styles that there are, and whether this server can write them."""
    parameters.allow(request)
    return jsonify(StyleOffer.of(services().settings).model_dump(mode="json"))


def _submission() -> Submission:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType("Send multipart/form-data with the picture in the field 'file'.")
    submission = read_submission(request, settings=services().settings, styles=[ALL])
    if not submission.uploads:
        raise NoImages("Send one picture, in the field 'file'.")
    if len(submission.uploads) > 1:
        raise TooManyImages("Send one picture; /captionImage takes several.", limit=1)
    return replace(submission, styling=wish_of(request, default=[ALL]))


def _styles(found: JobRead) -> Response:
    """200 with the styles; without a caption what `/captionImageBlocking` says, and 502 without
    styles, with the plain caption.
    """
    (image,) = found.images
    view = ImageView.of(image)
    if view.caption is None:
        return answered(found)
    if view.style_status is StyleStatus.STYLED:
        return jsonify([each.model_dump() for each in view.styled or []])
    warning = view.style_warning
    code = warning.code if warning else "styler_unavailable"
    response = problem(
        code,
        status=STATUS.get(code, 502) if code in WITHOUT_STYLES else 502,
        title=warning.title if warning else "The styler does not answer",
        detail=(warning and warning.detail) or "There are no styles of this picture.",
        id=str(found.job.id),
        caption=view.caption,
        urls=_urls(found.job.id),
    )
    response.headers["Location"] = Urls.of(found.job.id).self_
    return response


WITHOUT_STYLES = ("canceled", "deadline_passed")
"""Why there are none, where that is no fault of a styler."""


def _urls(job_id: UUID) -> dict[str, object]:
    return Urls.of(job_id).model_dump(by_alias=True)
