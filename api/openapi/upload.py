"""One picture in, its captions in every style out."""

from api.forms import UploadForm
from api.openapi.captions import REPLAYED, headers, submit_problems
from api.openapi.events import stream
from api.openapi.parts import Json, answer, problems, query, ref
from api.openapi.styles import wishes
from api.schemas import Accepted
from api.style_view import StyledView, StyleOffer


def paths() -> Json:
    """The route of Instagram caption generators."""
    styles = {"type": "array", "items": ref(StyledView)}
    return {
        "/api/styles": {
            "get": {
                "operationId": "listStyles",
                "summary": "The styles that captions can be written in",
                "responses": {
                    "200": answer("The styles.", ref(StyleOffer)),
                    **problems(s422="A parameter is unknown."),
                },
            }
        },
        "/upload_image/": {
            "post": {
                "operationId": "uploadForStyles",
                "summary": "Send one picture, wait, and get captions in every style",
                "parameters": [
                    query("timeout", "Seconds to wait.", {"type": "number", "minimum": 0}),
                    *wishes(),
                    *headers(),
                ],
                "requestBody": {
                    "required": True,
                    "content": {"multipart/form-data": {"schema": ref(UploadForm)}},
                },
                "responses": {
                    "200": _or_events(answer("The styles.", styles, headers=(REPLAYED,))),
                    "202": answer(
                        "It takes longer; the job goes on.",
                        ref(Accepted),
                        headers=("Location", REPLAYED),
                    ),
                    **submit_problems(),
                    **problems(
                        s409="The job was canceled, or the first request is being stored.",
                        s500="The picture could not be captioned; 'errors' says why.",
                        s502="There are no styles; 'caption' has the plain caption.",
                        s504="The job's deadline, from Cancel-After, passed before any caption.",
                    ),
                },
            }
        },
    }


def _or_events(found: Json) -> Json:
    return {**found, "content": {**found["content"], **stream()["content"]}}
