"""Deleting a job."""

from api.openapi.parts import Json, answer, job_id, problems, ref
from api.removed import Deleted


def delete() -> Json:
    """Deleting a job."""
    return {
        "operationId": "deleteJob",
        "summary": "Delete a job and the pictures that no other job uses",
        "parameters": [job_id()],
        "responses": {
            "200": answer("It is gone; this was removed.", ref(Deleted)),
            **problems(
                s404="There is no such job.",
                s410="The job was deleted before; the detail says when and why.",
                s422="A parameter is unknown.",
                s503="The database is away.",
            ),
        },
    }
