"""Is it alive, and can it serve?"""

from api.openapi.parts import Json, answer, ref
from api.schemas import Alive, Ready


def paths() -> Json:
    """Is it alive, and can it serve?"""
    return {
        "/healthz": {
            "get": {
                "operationId": "alive",
                "summary": "Is this process alive?",
                "responses": {"200": answer("It is.", ref(Alive))},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "ready",
                "summary": "Can a caption be had now?",
                "responses": {
                    "200": answer("Yes.", ref(Ready)),
                    "503": answer("No; 'reasons' says why.", ref(Ready)),
                },
            }
        },
    }
