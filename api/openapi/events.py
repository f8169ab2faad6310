"""A job as a stream of events."""

from api.openapi.parts import Json, header, job_id, problems, query

NUMBER: Json = {"type": "integer", "minimum": 0, "maximum": 999_999_999}


def paths() -> Json:
    """The stream of one job."""
    text = "The number of the last event that was seen; those after it follow."
    return {
        "/captionImage/{id}/events": {
            "get": {
                "operationId": "streamJob",
                "summary": "Follow a job: each result as it lands, progress, the end",
                "parameters": [
                    job_id(),
                    header("Last-Event-ID", text, NUMBER),
                    query("after", "The same, for clients that cannot set the header.", NUMBER),
                ],
                "responses": {
                    "200": stream(),
                    "204": {"description": "The job has ended and every event was seen."},
                    **problems(
                        s404="There is no such job.",
                        s410="The job was deleted.",
                        s422="The number of the event is none.",
                        s503="The database is away, or too many are waiting.",
                    ),
                },
            }
        }
    }


def stream() -> Json:
    """The answer that is a stream."""
    return {
        "description": "Events `image`, `progress`, `end` (and `accepted`, `deleted`), each with "
        "one line of JSON.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
