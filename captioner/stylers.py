"""Which stylers this server has, by its settings, and the message that asks for one."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from captioner.catalog import style_model
from captioner.errors import StylerUnconfigured
from captioner.settings import Settings
from captioner.styles import Styler, Styling
from captioner.work import Claim, Parcel, Picture

LACKS = {
    Styler.GEMINI: "CAPTIONER_GEMINI_API_KEY",
    Styler.OPENAI: "CAPTIONER_OPENAI_URL and CAPTIONER_OPENAI_MODEL",
    Styler.LOCAL: "a chat model among CAPTIONER_MODELS",
}
"""What an operator sets to have each."""


def is_configured(styler: Styler, settings: Settings) -> bool:
    """Whether this server can ask it."""
    match styler:
        case Styler.GEMINI:
            return settings.gemini_api_key is not None
        case Styler.OPENAI:
            return bool(settings.openai_url and settings.openai_model)
    return style_model(settings) is not None


def unconfigured(styler: Styler) -> StylerUnconfigured:
    """What is said where it cannot be asked."""
    return StylerUnconfigured(
        f"This server has no styler {styler.value!r}: its operator has not set {LACKS[styler]}. "
        "Captions without styles work.",
        styler=styler.value,
    )


def offered(styling: Styling, settings: Settings) -> Styling:
    """The same wish, with its styler named. Raises `StylerUnconfigured`."""
    styler = styling.styler or Styler(settings.styler)
    if not is_configured(styler, settings):
        raise unconfigured(styler)
    return replace(styling, styler=styler)


def to_style(
    job_id: UUID, pictures: Sequence[Picture], styling: Styling, settings: Settings
) -> list[Parcel]:
    """The message for a new job's pictures whose captions are known, if there are any."""
    known = next((n for n, each in enumerate(pictures) if each.known is not None), None)
    return [] if known is None else [_parcel(job_id, known, styling, settings)]


def parcels(claims: Sequence[Claim], settings: Settings) -> list[Parcel]:
    """The messages for images that have their captions now: one for each styler.

    Any worker that gets one takes what is next in line until none is left, so one is enough.
    """
    first = {claim.styling.styler: claim for claim in reversed(claims) if claim.styling}
    return [
        _parcel(claim.job_id, claim.position, claim.styling, settings)
        for claim in first.values()
        if claim.styling
    ]


def _parcel(job_id: UUID, position: int, styling: Styling, settings: Settings) -> Parcel:
    styler = styling.styler or Styler(settings.styler)
    return Parcel(job_id, style_model(settings) or "", (position,), styler=styler)
