"""Stopping a job, and trying again."""

from api.openapi.parts import Json, answer, job_id, problems, query, ref
from api.schemas import JobView


def paths() -> Json:
    """Stopping a job, and trying again."""
    return {
        "/captionImage/{id}/cancel": {"post": _cancel()},
        "/captionImage/{id}/retry": {"post": _retry()},
    }


def _cancel() -> Json:
    return {
        "operationId": "cancelJob",
        "summary": "Stop a job; captions made before are kept",
        "parameters": [job_id()],
        "responses": {
            "200": answer("It is canceled.", ref(JobView), headers=("Location",)),
            "202": answer(
                "It is 'canceling': some of its work goes on, and is being stopped.",
                ref(JobView),
                headers=("Location",),
            ),
            **_problems(s409="The job has ended in another way.", s422="A parameter is unknown."),
        },
    }


def _retry() -> Json:
    only = "'failed' leaves those that were canceled as they are."
    return {
        "operationId": "retryJob",
        "summary": "Try the failed and canceled pictures of a job again",
        "parameters": [job_id(), query("only", only, {"enum": ["failed"]})],
        "responses": {
            "202": answer("They are queued again.", ref(JobView), headers=("Location",)),
            **_problems(
                s409="The job is not done yet, or has no picture to try again.",
                s422="A parameter is wrong.",
                s429="The queue has no room for them; `Retry-After` says when.",
            ),
        },
    }


def _problems(**texts: str) -> Json:
    return problems(
        s404="There is no such job.",
        s410="The job was deleted.",
        s503="The database is away.",
        **texts,
    )
