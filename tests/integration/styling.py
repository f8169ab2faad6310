"""A whole service whose Gemini is a server of ours."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.gemini_server import KEY, GeminiServer
from tests.processes import service
from tests.stacks import Stack

NONE_OUTSIDE = {"GOOGLE_API_KEY": "", "GEMINI_API_KEY": ""}
"""Whatever the environment of the test run has."""


def environment(stack: Stack, gemini: GeminiServer, **more: str) -> dict[str, str]:
    return {
        **stack.environment,
        **NONE_OUTSIDE,
        "CAPTIONER_GEMINI_API_KEY": KEY,
        "CAPTIONER_GEMINI_URL": gemini.url,
        **{f"CAPTIONER_{name.upper()}": value for name, value in more.items()},
    }


@contextmanager
def styling_service(env: Mapping[str, str], folder: Path) -> Iterator[str]:
    with service(env, folder) as base:
        yield base
