"""For administrators."""

from api.openapi.parts import Json, answer, problems, query, ref
from api.schemas import CacheReset


def paths() -> Json:
    """For administrators."""
    return {
        "/api/admin/reset-cache": {
            "post": {
                "operationId": "resetCache",
                "summary": "Forget the captions that are remembered; touches nothing else",
                "parameters": [query("model", "Only captions of this model.", {"type": "string"})],
                "responses": {
                    "200": answer("They are forgotten.", ref(CacheReset)),
                    **problems(
                        s422="A parameter is unknown.",
                        s503="Redis does not answer, or captions are not remembered.",
                    ),
                },
            }
        }
    }
