"""The VLM API, the models that are served, and the page."""

from api.openapi.captions import REPLAYED, headers, submit_problems
from api.openapi.parts import Json, answer, header, problems, query, ref
from api.openapi.styles import wishes
from api.schemas import Accepted
from api.vlm import Offer, PicturesForm, VlmCollective, VlmResults

FILES = ("text/css", "text/javascript", "image/svg+xml")


def paths() -> Json:
    """The VLM API, the models that are served, and the page."""
    return {
        "/api/caption-images": {"post": _each()},
        "/api/caption-collective-images": {"post": _collective()},
        "/api/models": {"get": _models()},
        "/": {"get": _page()},
        "/web/{file}": {"get": _file()},
    }


def _each() -> Json:
    return {
        "operationId": "captionImages",
        "summary": "Caption each picture, with tags and a flag, and wait for it",
        **_asked(),
        "responses": {
            "200": answer("Each picture, in order.", ref(VlmResults), headers=(REPLAYED,)),
            **_waited(),
        },
    }


def _collective() -> Json:
    bad = "The body or the Idempotency-Key cannot be read, or the model cannot: see 'models'."
    return {
        "operationId": "captionCollectiveImages",
        "summary": "Caption all pictures together, and wait for it",
        **_asked(),
        "responses": {
            "200": answer("The caption.", ref(VlmCollective), headers=(REPLAYED,)),
            **_waited(),
            **problems(s400=bad),
        },
    }


def _asked() -> Json:
    text = {"type": "string"}
    return {
        "parameters": [
            query("model", "A model that is served. Default: the server's.", text),
            query("caption_prompt", "Beginning of the caption, or question about it.", text),
            query("flag_caption_prompt", "A question of yes or no, or 'false' for none.", text),
            query("timeout", "Seconds to wait.", {"type": "number", "minimum": 0}),
            header("Prefer", "'wait=30' asks to wait 30 seconds.", text),
            *wishes(),
            *headers(),
        ],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": ref(PicturesForm)}},
        },
    }


def _waited() -> Json:
    """Every answer of a call that waits, but for its success."""
    return {
        "202": answer(
            "It takes longer; the job goes on.", ref(Accepted), headers=("Location", REPLAYED)
        ),
        **submit_problems(),
        **problems(
            s409="The job was canceled, or the first request with this key is being stored.",
            s500="The pictures could not be captioned; 'errors' says why.",
            s504="The job's deadline, from Cancel-After, passed before any caption.",
        ),
    }


def _models() -> Json:
    return {
        "operationId": "listModels",
        "summary": "List the models that are served, and what a request may bring",
        "responses": {
            "200": answer("The models.", ref(Offer)),
            **problems(s422="A parameter is unknown."),
        },
    }


def _page() -> Json:
    return {
        "operationId": "page",
        "summary": "A page to caption pictures with a browser",
        "responses": {
            "200": {
                "description": "The page.",
                "content": {"text/html": {"schema": {"type": "string"}}},
            },
            "304": {"description": "It is as the caller has it."},
        },
    }


def _file() -> Json:
    name = {"name": "file", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "pageFile",
        "summary": "A style sheet or a script of the page",
        "parameters": [name],
        "responses": {
            "200": {
                "description": "The file.",
                "content": {kind: {"schema": {"type": "string"}} for kind in FILES},
            },
            "304": {"description": "It is as the caller has it."},
            **problems(s404="The page has no such file."),
        },
    }
