"""The VLM API: captions with tags and flags in one answer, as a view of the same jobs."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from api import parameters
from api.blocking import failure, reason, still_running, submit, wait
from api.bodies import form_uploads, with_headers
from api.current import services
from api.errors import STATUS
from api.forms import OptionFields
from api.vlm import Offer, VlmCollective, VlmResult, VlmResults
from api.wishes import NAMES, wish_of
from captioner import catalog
from captioner.catalog import ModelEntry
from captioner.errors import (
    AllImagesRefused,
    CollectiveUnsupported,
    ImageError,
    UnsupportedMediaType,
)
from captioner.queries import JobRead
from captioner.submission import Submission
from models import JobState

blueprint = Blueprint("vlm", __name__, url_prefix="/api")
PARAMETERS = ("model", "caption_prompt", "flag_caption_prompt", "timeout", *NAMES)


@blueprint.post("/caption-images")
def caption_images() -> Response:
    """Each picture's caption, in its place; one that is at fault has its error there."""
    parameters.allow(request, *PARAMETERS)
    try:
        return _answer(_model(), _results)
    except (ImageError, AllImagesRefused) as error:  # of all pictures: `errors` names each
        refused = [VlmResult.refused(each) for each in error.extra["errors"]]
        return _shown(VlmResults(results=refused))


@blueprint.post("/caption-collective-images")
def caption_collective_images() -> Response:
    """One caption of all pictures together, by a model that can."""
    parameters.allow(request, *PARAMETERS)
    entry = _model()
    if "collective" not in entry.limits.takes:
        raise _unsupported(entry)
    return _answer(entry, _collective, collective=True)


@blueprint.get("/models")
def models() -> Response:
    """The models that are served, and what one request may bring."""
    parameters.allow(request)
    return jsonify(Offer.of(services().settings).model_dump(mode="json"))


def _model() -> ModelEntry:
    settings = services().settings
    return catalog.find(request.args.get("model") or settings.model, settings)


def _answer(
    entry: ModelEntry, shape: Callable[[JobRead], Response], *, collective: bool = False
) -> Response:
    wait_s = parameters.wait_s(request, services().settings)
    job_id, state = submit(lambda: _submission(entry, collective=collective))
    ended = wait(job_id, state, wait_s=wait_s)
    return still_running(job_id, ended) if isinstance(ended, JobState) else shape(ended)


def _submission(entry: ModelEntry, *, collective: bool) -> Submission:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"The content type is {request.mimetype or 'missing'!r}; send multipart/form-data."
        )
    uploads = form_uploads(request, services().settings.max_image_bytes, texts=NAMES)
    asked = OptionFields(
        prompt=request.args.get("caption_prompt"),
        flag=request.args.get("flag_caption_prompt") or (True if entry.limits.chats else None),
        tags=True,
        collective=collective,
    )
    wish = wish_of(request)
    return with_headers(Submission(uploads, entry.name, asked.options, styling=wish), request)


def _results(read: JobRead) -> Response:
    """200 unless no picture has a caption for a reason that is not the pictures' own."""
    if read.job.succeeded_count == 0:
        ended_early = JobState(read.job.state) in (JobState.CANCELED, JobState.EXPIRED)
        if ended_early or STATUS.get(reason(read).code, 500) >= 500:
            return failure(read)
    return _shown(VlmResults.of(read))


def _collective(read: JobRead) -> Response:
    if read.job.succeeded_count == 0:
        return failure(read)
    return _shown(VlmCollective.of(read))


def _shown(view: BaseModel) -> Response:
    # A picture has an error only where it failed, and styles only where some were asked for.
    return jsonify(view.model_dump(mode="json", exclude_unset=True))


def _unsupported(entry: ModelEntry) -> CollectiveUnsupported:
    able = [model.name for model in Offer.of(services().settings).models if model.collective]
    instead = f"take {' or '.join(able)}" if able else "no model of this server can"
    return CollectiveUnsupported(
        f"The model {entry.name!r} cannot say one caption of several pictures; {instead}.",
        models=able,
    )
