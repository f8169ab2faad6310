"""The studios of this worker: one for each styler that it can ask.

Those outside it always takes, so that a picture never waits for a key that nobody has; a local one
where it serves the model.
"""

import logging
from functools import partial

from captioner.catalog import style_model
from captioner.settings import Settings
from captioner.styles import Styler
from worker.flow import Parts
from worker.styling.local import LocalStyler
from worker.styling.protocol import Styler as Asked
from worker.styling.studio import Studio

log = logging.getLogger(__name__)


def studios(parts: Parts) -> dict[str, Studio]:
    """By the names of their stylers."""
    makers = {Styler.GEMINI: partial(_gemini, parts), Styler.OPENAI: partial(_openai, parts)}
    found = {str(styler): Studio(parts, styler, make) for styler, make in makers.items()}
    model = style_model(parts.settings)
    if model is not None:
        _warn_of_turns(parts.settings, model)
        local = partial(LocalStyler, parts.house, model)
        found[str(Styler.LOCAL)] = Studio(parts, Styler.LOCAL, local)
    return found


def _warn_of_turns(settings: Settings, model: str) -> None:
    """Say so where the styler's time may be over before it is its model's turn."""
    takes_turns = 0 < settings.model_capacity < len(settings.served_models)
    if takes_turns and settings.style_timeout_s <= settings.model_turn_s:
        log.warning(
            "Styles of the styler 'local' may fail while other models are busy: "
            "CAPTIONER_STYLE_TIMEOUT_S=%g is not above CAPTIONER_MODEL_TURN_S=%g, and the model "
            "%r waits that long for its turn, as CAPTIONER_MODEL_CAPACITY=%d.",
            settings.style_timeout_s, settings.model_turn_s, model, settings.model_capacity,
            extra={"action": "styles_may_wait"},
        )  # fmt: skip


def _gemini(parts: Parts) -> Asked:
    from worker.styling.gemini import GeminiStyler  # Google's client takes a second to import

    return GeminiStyler(parts.settings)


def _openai(parts: Parts) -> Asked:
    from worker.styling.openai import OpenAiStyler

    return OpenAiStyler(parts.settings)
