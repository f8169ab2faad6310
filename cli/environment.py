"""How a command's options reach the settings: through the environment, which its children share.

The one place of the command line that knows `os.environ`. Reading is for `captioner.settings`.
"""

import os
from collections.abc import Sequence

from captioner import settings

CUDA = "CUDA_VISIBLE_DEVICES"
"""What tells CUDA which GPUs there are for a process."""


def configure(**given: object) -> settings.Settings:
    """Set `CAPTIONER_*` for each option that was given (is not None), and load the settings."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"CAPTIONER_{name.upper()}"] = str(value)
    settings.load.cache_clear()
    return settings.load()


def first_set(names: Sequence[str]) -> str:
    """The first of these variables that is set, in upper or lower case; else the first of all."""
    there = {name.upper() for name in os.environ}
    return next((name for name in names if name in there), names[0])


def key_to_show() -> str | None:
    """The API key that commands show to the server that they talk to."""
    return os.environ.get("CAPTIONER_KEY") or None


def seeing(gpu: str) -> dict[str, str]:
    """The environment of a child that sees this GPU and no other."""
    return {**os.environ, CUDA: gpu}
