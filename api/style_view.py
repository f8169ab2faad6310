"""What became of an image's styles, as it is told."""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from captioner import errors as error_tree
from captioner.errors import CaptionerError
from captioner.settings import Settings
from captioner.stylers import is_configured
from captioner.styles import MEANINGS, Style, Styler, StyleStatus
from models import Job, JobImage

STYLED = "The styles that were asked for, in that order; null without."
STATUS = "'fallback': the plain caption alone. Null until a styler is through."
WARNING = "Why there is the plain caption alone; otherwise null."
TITLES = {
    member.code: member.title
    for member in vars(error_tree).values()
    if isinstance(member, type) and issubclass(member, CaptionerError)
}


class StyledView(BaseModel):
    """The captions of one style."""

    style: str
    captions: list[str]


class StyleMeaning(BaseModel):
    """A style, and what it is."""

    name: str
    description: str


class StylerOffer(BaseModel):
    """Who writes styles here, unless a request names another."""

    default: str
    configured: Annotated[bool, Field(description="Whether that one can be asked.")]


class StyleOffer(BaseModel):
    """The styles that there are."""

    styles: list[StyleMeaning]
    stylers: StylerOffer

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What this server offers."""
        styler = Styler(settings.styler)
        return cls(
            styles=[StyleMeaning(name=style, description=MEANINGS[style]) for style in Style],
            stylers=StylerOffer(default=styler, configured=is_configured(styler, settings)),
        )


class StyleWarning(BaseModel):
    """Why an image has no styles, though some were asked for."""

    code: str
    title: str
    detail: str | None


class StylesView(BaseModel):
    """The styles of one image."""

    styled: Annotated[list[StyledView] | None, Field(description=STYLED)]
    style_status: Annotated[StyleStatus | None, Field(description=STATUS)]
    style_warning: Annotated[StyleWarning | None, Field(description=WARNING)]

    @classmethod
    def of_image(cls, image: JobImage) -> Self:
        """The view of a row."""
        return cls.model_validate(fields_of(image))


class WishedStyles(BaseModel):
    """The styles of one image, where the answer has them only if some were asked for."""

    styled: Annotated[list[StyledView] | None, Field(description=STYLED)] = None
    style_status: Annotated[StyleStatus | None, Field(description=STATUS)] = None
    style_warning: Annotated[StyleWarning | None, Field(description=WARNING)] = None


class IndexedStyles(StylesView):
    """The styles of the image at `index`."""

    index: int


def fields_of(image: Any) -> dict[str, object]:
    """The three fields of an image."""
    return {
        "styled": None if image.styled is None else styled(image.styled),
        "style_status": image.style_status,
        "style_warning": warning(image),
    }


def fields_wished(image: Any, job: Job) -> dict[str, object]:
    """The same of an image whose job wants styles; otherwise none."""
    return {} if job.styling is None else fields_of(image)


def styled(stored: str) -> list[StyledView]:
    """The styles that a row has as JSON."""
    return [StyledView(style=style, captions=them) for style, them in json.loads(stored)]


def warning(image: Any) -> StyleWarning | None:
    """Why an image has none."""
    if image.style_code is None:
        return None
    title = TITLES.get(image.style_code, image.style_code)
    return StyleWarning(code=image.style_code, title=title, detail=image.style_detail)
