"""Turns an expected error into one line for a person; an unexpected one stays as it is."""

import sys
from collections.abc import Mapping
from typing import Any

from captioner.errors import CaptionerError
from cli.escape import plain


def explain(error: Exception) -> str | None:
    """One line that says what is wrong, or None where a traceback is more use."""
    if isinstance(error, CaptionerError):
        return plain(error.detail)
    return _explain_http(error) or _explain_settings(error)


def _explain_http(error: Exception) -> str | None:
    httpx = sys.modules.get("httpx")  # not loaded: then the error is not its
    if httpx is None or not isinstance(error, httpx.TransportError):
        return None
    return f"The server cannot be reached: {plain(str(error)) or type(error).__name__}"


def _explain_settings(error: Exception) -> str | None:
    """Name each setting that pydantic refused, with its value where that is no secret."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return None
    if error.title != "Settings":
        return None
    return "; ".join(plain(_line(fault)) for fault in error.errors())


def _line(fault: Mapping[str, Any]) -> str:
    said = str(fault["msg"]).removeprefix("Value error, ")
    if not fault["loc"]:  # of several settings, which are named in what is said
        return said
    name, secret = _setting(str(fault["loc"][0]))
    return f"{name}={'…' if secret else fault['input']}: {said}"


def _setting(place: str) -> tuple[str, bool]:
    """The variable that was refused, and whether its value is a secret."""
    from captioner.setting_names import is_secret, variables
    from captioner.settings import Settings
    from cli.environment import first_set

    for name, field in Settings.model_fields.items():
        names = variables(name, field)
        if place == name or place.upper() in names:
            return first_set(names), is_secret(field)
    return place, True
