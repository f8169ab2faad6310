"""Reads the server's answers: JSON, and problem documents (RFC 9457)."""

from collections.abc import Mapping
from typing import Any

import httpx

from captioner.errors import CaptionerError, JobNotFound, RequestError

NO_SUCH_PAGE = frozenset({404, 405})
KEY_REFUSED = frozenset({401, 403})


class Refused(CaptionerError):
    """The server answered with a problem (RFC 9457) instead of doing what was asked."""

    def __init__(self, answer: httpx.Response) -> None:
        problem = _problem(answer)
        self.status = answer.status_code
        self.problem_code = str(problem.get("code") or f"http_{answer.status_code}")
        self.pictures = _refused_pictures(problem.get("errors"))
        """Code and detail by the picture's index, where pictures are what was refused."""
        says = problem.get("detail") or problem.get("title")
        super().__init__(str(says or f"{answer.url} answered with HTTP {answer.status_code}."))


class KeyRefused(Refused, RequestError):
    """The server asks for an API key, or for another one."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(answer)
        self.detail += " This command shows the key that is in CAPTIONER_KEY."


def refusal(answer: httpx.Response) -> Refused:
    """What to raise for an answer that is not the one asked for."""
    return KeyRefused(answer) if answer.status_code in KEY_REFUSED else Refused(answer)


def json_object(answer: httpx.Response) -> Mapping[str, Any]:
    """The answer's JSON object; empty where it is anything else."""
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    problem = json_object(answer)
    elsewhere = answer.status_code in NO_SUCH_PAGE and problem.get("code") != JobNotFound.code
    if answer.is_success or elsewhere:  # some other program, or a wrong path
        says = f"{answer.url} is no captioner server (it answers HTTP {answer.status_code})."
        return {"detail": says}
    return problem


def _refused_pictures(errors: Any) -> dict[int, tuple[str, str]]:
    return {
        error["index"]: (str(error.get("code")), str(error.get("detail") or error.get("title")))
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict) and isinstance(error.get("index"), int)
    }
