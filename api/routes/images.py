"""The image pipeline: one picture in; its caption, what its file says, and thumbnails out."""

from dataclasses import replace
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, jsonify, request

from api import parameters
from api.blocking import submit
from api.bodies import read_submission
from api.current import caller, services
from api.delivery import forget_when_sent
from api.guard import needs
from api.image_shapes import (
    ImageAccepted,
    ImageListed,
    PipelineImage,
    Stats,
    Thumbnail,
    ThumbnailLinks,
    link,
)
from captioner import census, details, gallery, results
from captioner.blobs import THUMBNAILS, digest
from captioner.details import Position
from captioner.errors import (
    ImageNotFound,
    InvalidOption,
    InvalidRequest,
    NoImages,
    NotAcceptable,
    PictureMissing,
    ThumbnailNotFound,
    ThumbnailNotReady,
    UnknownSize,
    UnsupportedMediaType,
)
from captioner.gallery import Shown
from captioner.images import ImageLimits
from captioner.submission import Submission
from models import JobState, Scope

blueprint = Blueprint("images", __name__)
FIELD = "file"
YEAR_S = 365 * 24 * 3600


@blueprint.post("/api/images")
def upload() -> Response:
    """Store one picture and answer at once."""
    parameters.allow(request)
    job_id, state = submit(_submission)
    response = jsonify(ImageAccepted(image_id=job_id, status=state).model_dump(mode="json"))
    response.status_code = 202
    response.headers["Location"] = f"/api/images/{job_id}"
    return response


@blueprint.get("/api/images")
def listing() -> Response:
    """Images, newest first."""
    parameters.allow(request, "limit", "cursor")
    limit, cursor = parameters.limit(request), request.args.get("cursor")
    before = None if cursor is None else parameters.job_id(cursor, name="cursor")
    with services().database.read() as session:
        rows = gallery.page(session, before=before, owner=caller().sees, limit=limit)
    response = jsonify([ImageListed.of(row).model_dump(mode="json") for row in rows])
    if len(rows) == limit:
        following = urlencode({"limit": limit, "cursor": rows[-1].job_id})
        response.headers["Link"] = f'<{request.path}?{following}>; rel="next"'
    return response


@blueprint.get("/api/images/<image_id>")
def image(image_id: str) -> Response:
    """The whole image."""
    parameters.allow(request, "gps")
    wants_gps = parameters.flag(request, "gps")
    shown = _shown(image_id)
    view = PipelineImage.whole(shown, _position(shown) if wants_gps else None)
    return forget_when_sent(jsonify(view.model_dump(mode="json", exclude_unset=True)), shown.job)


@blueprint.get("/api/images/<image_id>/thumbnails/<size>")
def thumbnail(image_id: str, size: str) -> Response:
    """Where a thumbnail is; itself, to a client that prefers pictures."""
    parameters.allow(request)
    _check(size)
    wants_picture = _prefers_pictures()
    shown = _shown(image_id)
    _refuse_without_thumbnails(shown)
    job_id = shown.job.id
    if wants_picture:
        response = _file(shown, size)
    else:
        view = Thumbnail(
            image_id=job_id,
            size=size,
            link=link(job_id, size),
            thumbnails=ThumbnailLinks.to(job_id),
        )
        response = jsonify(view.model_dump(mode="json"))
    response.vary.add("Accept")
    return response


@blueprint.get("/api/images/<image_id>/thumbnails/<size>.jpg")
def thumbnail_file(image_id: str, size: str) -> Response:
    """The thumbnail itself."""
    parameters.allow(request)
    _check(size)
    shown = _shown(image_id)
    _refuse_without_thumbnails(shown)
    return _file(shown, size)


@blueprint.get("/api/stats")
@needs(Scope.ADMIN)
def stats() -> Response:
    """How many images there are, how they ended, and how long that took."""
    parameters.allow(request)
    with services().database.snapshot() as session:
        at_work: dict[str, int] = {}
        for _, state, images in census.images(session):
            at_work[state] = at_work.get(state, 0) + images
        view = Stats.of(results.total(session), at_work)
    return jsonify(view.model_dump(mode="json"))


def _submission() -> Submission:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"The content type is {request.mimetype or 'missing'!r}; send multipart/form-data "
            f"with the picture in the field {FIELD!r}."
        )
    submission = read_submission(request, settings=services().settings)
    others = sorted(set(request.files) - {FIELD})
    if others:
        raise InvalidRequest(
            f"The form has a file in {others[0][:64]!r}; send the picture in {FIELD!r}."
        )
    if not submission.uploads:
        raise NoImages(f"Send one picture in the field {FIELD!r}.")
    if len(submission.uploads) > 1:
        raise InvalidRequest(
            f"The form has {len(submission.uploads)} pictures; send one. For several there is "
            "POST /captionImage."
        )
    if submission.options.collective is not None:
        raise InvalidOption(
            "collective: one picture has a caption of its own.", option="collective"
        )
    return replace(submission, gallery=True)


def _shown(image_id: str) -> Shown:
    try:
        job_id: UUID = parameters.job_id(image_id)
    except InvalidRequest as error:
        raise ImageNotFound(gallery.absence(image_id)) from error
    with services().database.read() as session:
        return gallery.image(session, job_id, owner=caller().sees)


def _position(shown: Shown) -> Position | None:
    """Where the picture was taken: read from it now, as it is kept nowhere else."""
    if shown.image.blob_sha256 is None:
        return None
    try:
        data = services().blobs.get(shown.image.blob_sha256)
    except PictureMissing:
        return None
    limits = gallery.limits(ImageLimits.from_settings(services().settings))
    return details.position(data, limits)


def _check(size: str) -> None:
    if size not in THUMBNAILS:
        raise UnknownSize(
            f"There are no thumbnails of the size {size[:64]!r}; there are "
            f"{' and '.join(THUMBNAILS)}.",
            sizes=list(THUMBNAILS),
        )


def _refuse_without_thumbnails(shown: Shown) -> None:
    if shown.has_thumbnails:
        return
    state = JobState(shown.job.state)
    if not state.final:
        raise ThumbnailNotReady(
            f"The image is {state}: its thumbnails are made with its caption.", job_status=state
        )
    why = "its picture is kept no longer" if shown.image.caption else f"it is {state}"
    raise ThumbnailNotFound(f"The image has no thumbnails: {why}.", job_status=state)


def _prefers_pictures() -> bool:
    """Whether pictures are named in `Accept`, and JSON is not, or is wanted less.

    Raises `NotAcceptable` where `Accept` has neither JSON nor JPEG.
    """
    accepted = request.accept_mimetypes
    takes_picture, takes_json = (
        accepted.quality(kind) > 0 for kind in ("image/jpeg", "application/json")
    )
    if accepted and not (takes_picture or takes_json):
        raise NotAcceptable("A thumbnail is told as application/json, or given as image/jpeg.")
    pictures, documents = 0.0, 0.0
    for kind, quality in accepted:
        if kind.startswith("image/"):
            pictures = max(pictures, quality)
        elif kind == "application/json":
            documents = max(documents, quality)
    return takes_picture and pictures > documents


def _file(shown: Shown, size: str) -> Response:
    sha256 = shown.image.blob_sha256 or ""
    try:
        data = services().blobs.thumbnail(sha256, size)
    except PictureMissing as error:
        raise ThumbnailNotFound("The thumbnail's file is not stored.") from error
    response = Response(data, content_type="image/jpeg")
    response.set_etag(digest(data))
    response.headers["Cache-Control"] = f"private, max-age={YEAR_S}, immutable"
    response.make_conditional(request)
    return response
