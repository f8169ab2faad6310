"""What a caption depends on, besides its picture and what was asked for."""

import re

from captioner.catalog import ModelEntry
from captioner.settings import Settings
from worker.dialogue import DIALOGUE_VERSION
from worker.engines.prompts import PROMPT_VERSION
from worker.engines.protocol import Engine

WRITING_VERSION = "2"
"""To be raised when engines write otherwise for the same options."""
SHAPING = ("max_new_tokens", "fast_decode")
"""Settings of a worker that shape its captions."""


def version(engine: Engine, entry: ModelEntry, *, device: str, settings: Settings) -> str:
    """The version of a model that an engine runs: engines of one version say the same.

    Its revision; the kind of engine; what it runs on and in which number format, as they round
    differently; and the settings and words that shape a caption.
    """
    settled = [f"{name}={getattr(settings, name)}" for name in SHAPING]
    settled += [f"prompts={PROMPT_VERSION}", f"dialogue={DIALOGUE_VERSION}"]
    settled += [f"writing={WRITING_VERSION}"]
    where = re.sub(r":\d+", "", device)  # whichever of several GPUs
    return " ".join([engine.revision, entry.kind, where, *settled])
