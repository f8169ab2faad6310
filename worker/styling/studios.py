"""The studios of this worker: one for each styler that it can ask.

Those outside it always takes, so that a picture never waits for a key that nobody has; a local one
where it serves the model.
"""

from functools import partial

from captioner.catalog import style_model
from captioner.styles import Styler
from worker.flow import Parts
from worker.styling.local import LocalStyler
from worker.styling.protocol import Styler as Asked
from worker.styling.studio import Studio


def studios(parts: Parts) -> dict[str, Studio]:
    """By the names of their stylers."""
    makers = {Styler.GEMINI: partial(_gemini, parts), Styler.OPENAI: partial(_openai, parts)}
    found = {str(styler): Studio(parts, styler, make) for styler, make in makers.items()}
    model = style_model(parts.settings)
    if model is not None:
        local = partial(LocalStyler, parts.house, model)
        found[str(Styler.LOCAL)] = Studio(parts, Styler.LOCAL, local)
    return found


def _gemini(parts: Parts) -> Asked:
    from worker.styling.gemini import GeminiStyler  # Google's client takes a second to import

    return GeminiStyler(parts.settings)


def _openai(parts: Parts) -> Asked:
    from worker.styling.openai import OpenAiStyler

    return OpenAiStyler(parts.settings)
