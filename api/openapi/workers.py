"""Who works here?"""

from api.openapi.parts import Json, answer, problems, ref
from api.schemas import WorkerView


def paths() -> Json:
    """Who works here?"""
    return {
        "/workers": {
            "get": {
                "operationId": "listWorkers",
                "summary": "List the workers that are alive",
                "responses": {
                    "200": answer("The workers.", {"type": "array", "items": ref(WorkerView)}),
                    **problems(s422="A parameter is unknown.", s503="The database is away."),
                },
            }
        }
    }
