"""The image pipeline."""

from api.forms import ImageForm
from api.image_shapes import ImageAccepted, ImageListed, PipelineImage, Stats, Thumbnail
from api.openapi.captions import REPLAYED, headers
from api.openapi.parts import Json, answer, job_id, problems, query, ref
from api.parameters import MAX_LIMIT
from captioner.blobs import THUMBNAILS

PICTURE: Json = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}


def paths() -> Json:
    """One picture in; caption, metadata and thumbnails out; and how all of them did."""
    return {
        "/api/images": {"post": _upload(), "get": _listing()},
        "/api/images/{id}": {"get": _image()},
        "/api/images/{id}/thumbnails/{size}": {"get": _thumbnail()},
        "/api/images/{id}/thumbnails/{size}.jpg": {"get": _file()},
        "/api/stats": {"get": _stats()},
    }


def _upload() -> Json:
    return {
        "operationId": "uploadImage",
        "summary": "Send one JPEG or PNG; answers at once with its id",
        "parameters": headers(),
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": ref(ImageForm)}},
        },
        "responses": {
            "202": answer("It is stored.", ref(ImageAccepted), headers=("Location", REPLAYED)),
            **problems(
                s400="The form or the Idempotency-Key cannot be read.",
                s409="The first request with this Idempotency-Key is still being stored.",
                s410="The image that this Idempotency-Key stands for was deleted.",
                s413="The picture is too large.",
                s415="It is no form, or no JPEG or PNG.",
                s422="A field is wrong, or the picture is.",
                s429="Too many pictures are waiting. Try again after Retry-After seconds.",
                s503="A part of the service is away. Try again after Retry-After seconds.",
            ),
        },
    }


def _listing() -> Json:
    limits = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": MAX_LIMIT}
    identifier = {"type": "string", "format": "uuid"}
    return {
        "operationId": "listImages",
        "summary": "List images, newest first",
        "parameters": [
            query("limit", "How many at most.", limits),
            query("cursor", "Only images older than this one; see the Link header.", identifier),
        ],
        "responses": {
            "200": answer(
                "The images; Link leads to the next page.",
                {"type": "array", "items": ref(ImageListed)},
                headers=("Link",),
            ),
            **problems(s422="A parameter is wrong.", s503="The database is away."),
        },
    }


def _image() -> Json:
    text = "Whether to say where it was taken, if its file does."
    return {
        "operationId": "getImage",
        "summary": "Look at an image: caption, metadata, timings, thumbnails",
        "parameters": [job_id(), query("gps", text, {"enum": ["true", "false"]})],
        "responses": {"200": answer("The image.", ref(PipelineImage)), **_problems()},
    }


def _thumbnail() -> Json:
    shown = answer("Where it is; or itself, to a client that accepts pictures.", ref(Thumbnail))
    shown["content"] = {**shown["content"], **PICTURE}
    return {
        "operationId": "getThumbnail",
        "summary": "A thumbnail's address, or itself for `Accept: image/*`",
        "parameters": [job_id(), _size()],
        "responses": {
            "200": shown,
            **_not_modified(),
            **_thumbnail_problems(),
            **problems(s406="`Accept` has neither application/json nor image/jpeg."),
        },
    }


def _file() -> Json:
    return {
        "operationId": "getThumbnailFile",
        "summary": "A thumbnail, as a JPEG file that never changes",
        "parameters": [job_id(), _size()],
        "responses": {
            "200": {"description": "The thumbnail.", "content": PICTURE},
            **_not_modified(),
            **_thumbnail_problems(),
        },
    }


def _stats() -> Json:
    return {
        "operationId": "stats",
        "summary": "Counts, rates of success and failure, and processing times",
        "responses": {
            "200": answer("All images that are kept, from the database.", ref(Stats)),
            **problems(s422="A parameter is unknown.", s503="The database is away."),
        },
    }


def _size() -> Json:
    return {"name": "size", "in": "path", "required": True, "schema": {"enum": list(THUMBNAILS)}}


def _not_modified() -> Json:
    return {"304": {"description": "The client has it already (`If-None-Match`)."}}


def _thumbnail_problems() -> Json:
    return {
        **_problems("There is no such image, or it has no thumbnails."),
        **problems(
            s400="There is no such size.",
            s409="The image is not done yet.",
        ),
    }


def _problems(not_found: str = "There is no such image.") -> Json:
    return problems(
        s404=not_found,
        s410="The image was deleted; the detail says when and why.",
        s422="A parameter is wrong.",
        s503="A part of the service is away.",
    )
