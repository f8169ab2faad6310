"""What a chat model says to a question that is to be answered by yes or no."""

import json
import re
from typing import Any

_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)


def flagged(answer: str) -> bool | None:
    """`{"flagged": true}` is true; anything that is not strictly of this form is `None`.

    The word may be a text: "false" is false. One fence of Markdown around it all is allowed.
    """
    text = answer.strip()
    fenced = _FENCE.fullmatch(text)
    try:
        said = json.loads(fenced[1] if fenced else text, object_pairs_hook=_one_name)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or set(said) != {"flagged"}:
        return None
    value = said["flagged"]
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _one_name(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len(dict(pairs)):
        raise ValueError("the same name twice")
    return dict(pairs)
