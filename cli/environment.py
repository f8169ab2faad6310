"""How a command's options reach the settings: through the environment, which its children share.

The one place of the command line that knows `os.environ`. Reading is for `captioner.settings`.
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from captioner import settings
from captioner.setting_names import PREFIX, all_variables
from cli.escape import plain

CUDA = "CUDA_VISIBLE_DEVICES"
"""What tells CUDA which GPUs there are for a process."""


KEY = "CAPTIONER_KEY"
NO_SETTINGS = {KEY, "CAPTIONER_SERVER", "CAPTIONER_BIND", "CAPTIONER_GPU"}
"""Read by commands that talk to a server, and by the compose file."""
OF_TESTS = "CAPTIONER_TEST"


def configure(**given: object) -> settings.Settings:
    """Set `CAPTIONER_*` for each option that was given (is not None), and load the settings.

    Variables that nobody reads are told on standard error.
    """
    _drop_unknown()
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
    return os.environ.get(KEY) or None


def _drop_unknown() -> None:
    """Warn of each variable with our prefix that is no setting.

    It is taken away then, so that it is told once, and not by each child of this process again.
    """
    known = all_variables(settings.Settings) | NO_SETTINGS
    words = {name.removeprefix(PREFIX): name for name in known}
    for name in sorted(os.environ):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in known or upper.startswith(OF_TESTS):
            continue
        meant = get_close_matches(upper.removeprefix(PREFIX), words, n=1, cutoff=0.75)
        advice = f"; did you mean {words[meant[0]]}?" if meant else "."
        print(f"Warning: {plain(name)} is no setting{advice}", file=sys.stderr)
        del os.environ[name]


def seeing(gpu: str) -> dict[str, str]:
    """The environment of a child that sees this GPU and no other."""
    return {**os.environ, CUDA: gpu}
