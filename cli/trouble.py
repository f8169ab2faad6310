"""Turns an expected error into one line for a person; an unexpected one stays as it is."""

import sys

from captioner.errors import CaptionerError
from cli.escape import plain

SECRET = ("MODEL_SOURCES", "VLLM_KEY", "WEBHOOK_SECRETS")
"""Settings whose values are not shown."""


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
    """Name each setting that pydantic refused, with its value."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return None
    if error.title != "Settings":
        return None
    lines = []
    for fault in error.errors():
        place = "_".join(str(part) for part in fault["loc"]).upper()
        value = "…" if place in SECRET else fault["input"]
        name = f"CAPTIONER_{place}={value}: " if place else ""
        lines.append(plain(f"{name}{fault['msg']}"))
    return "; ".join(lines)
