"""What routes that take pictures take in their query, too: wishes about styles."""

from api.forms import StyleFields
from api.openapi.parts import Json, query

SAID_ELSEWHERE = ("description", "title")


def wishes() -> list[Json]:
    """The query parameters."""
    shapes = StyleFields.model_json_schema()["properties"]
    return [query(name, shape["description"], _schema(shape)) for name, shape in shapes.items()]


def _schema(shape: Json) -> Json:
    return {name: value for name, value in shape.items() if name not in SAID_ELSEWHERE}
