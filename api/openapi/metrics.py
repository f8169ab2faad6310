"""Numbers for Prometheus."""

from api.openapi.parts import Json, problems


def paths() -> Json:
    """Numbers for Prometheus."""
    return {
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Queue, workers and forecasts, in Prometheus' text format",
                "responses": {
                    "200": {
                        "description": "One line for each value.",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                    **problems(s503="The database is away."),
                },
            }
        }
    }
