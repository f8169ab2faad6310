"""The shapes of requests. The OpenAPI document is made from these same classes."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, JsonValue

from api.hooks import KINDS
from captioner.errors import InvalidStyle
from captioner.options import CHATTING, MIN_TEMPERATURE, UNSAFE, Length, Options, ranges
from captioner.styles import (
    ALL,
    MAX_COUNT,
    MAX_LANGUAGE_CHARS,
    MAX_TONE_CHARS,
    Style,
    Styler,
    Styling,
    listed,
    styling,
)

PRIORITY = "'high' goes an hour ahead of 'normal', and 'low' an hour behind."
WEBHOOK = "URL that is told when the job has started or ended, signed by Standard Webhooks."
EVENTS = "What it is told of. Default: job.finished."
LENGTH = "How much is said. 'alt_text': one sentence of at most 125 characters."
COLLECTIVE = "Whether all pictures get one caption together. Chat models alone can."
FLAG = (
    "A question of yes or no about each picture, which chat models answer in 'flagged'. "
    "true: whether it is unsafe."
)
STYLES = "Styles that each caption is written in beside the plain one; 'all' for every style."
STYLER = "Who writes them. Default: the server's."
STORE = "Whether the job is kept once its result was delivered."


PICTURES = ("imgb64s", "imgb64", "imgurls", "imgurl")
"""The fields of a JSON body that hold pictures."""


class Strict(BaseModel):
    """Refuses fields that it does not know, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


STYLE_WISHES = ("count", "language", "emoji", "hashtags", "tone")
STYLE_NAMES = {
    "anyOf": [
        {"type": "array", "items": {"enum": list(Style)}, "minItems": 1},
        {"enum": [ALL, *Style]},
        {"type": "null"},
    ]
}
"""Each name that is shown to callers; others mean the same: see `captioner.styles`."""
STYLERS = {"anyOf": [{"enum": list(Styler)}, {"type": "null"}]}
COUNTS = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAX_COUNT}, {"type": "null"}]}
TONES = {"anyOf": [{"type": "string", "maxLength": MAX_TONE_CHARS}, {"type": "null"}]}
LANGUAGES = {"anyOf": [{"type": "string", "maxLength": MAX_LANGUAGE_CHARS}, {"type": "null"}]}


def _names(given: object) -> object:
    """One text, or each of a list, as the names that stand in it with commas between."""
    if isinstance(given, str):
        return listed(given)
    if not isinstance(given, list):
        return given
    return [name for each in given for name in (listed(each) if isinstance(each, str) else [each])]


def _number(name: str) -> dict[str, JsonValue]:
    """The schema of an option that is a number: what some model takes."""
    low, high = ranges(CHATTING)[name]
    kinds: list[JsonValue] = [{"type": "integer", "minimum": low, "maximum": high}]
    if name == "temperature":
        kinds = [{"const": 0}, {"type": "number", "minimum": MIN_TEMPERATURE, "maximum": high}]
    return {"anyOf": [*kinds, {"type": "null"}]}


class OptionFields(BaseModel):
    """How captions are to be made. Which of these a model takes, and how much of each, is told by
    GET /api/models: the bounds here are those of the models that take the most.
    """

    prompt: Annotated[
        str | None, Field(description="Beginning of the caption; what a chat model is asked.")
    ] = None
    system: Annotated[str | None, Field(description="What a chat model is told first.")] = None
    max_new_tokens: Annotated[
        int | None,
        Field(
            description="Longest caption, in tokens.", json_schema_extra=_number("max_new_tokens")
        ),
    ] = None
    min_new_tokens: Annotated[
        int | None,
        Field(
            description="Shortest caption, in tokens.", json_schema_extra=_number("min_new_tokens")
        ),
    ] = None
    num_beams: Annotated[
        int | None,
        Field(
            description="Captions that are followed at once.",
            json_schema_extra=_number("num_beams"),
        ),
    ] = None
    num_captions: Annotated[
        int | None,
        Field(description="Captions of each picture.", json_schema_extra=_number("num_captions")),
    ] = None
    temperature: Annotated[
        float | None,
        Field(
            description="Above 0, captions are drawn. Default: 0, the likeliest.",
            json_schema_extra=_number("temperature"),
        ),
    ] = None
    seed: Annotated[
        int | None,
        Field(description="Draws the same caption again.", json_schema_extra=_number("seed")),
    ] = None
    language: Annotated[str | None, Field(description="Of the answer, of chat models.")] = None
    length: Annotated[Length | None, Field(description=LENGTH, strict=False)] = None

    no_repeat_ngram: Annotated[
        int | None,
        Field(
            description="No run of so many tokens comes twice.",
            json_schema_extra=_number("no_repeat_ngram"),
        ),
    ] = None
    tags: Annotated[bool, Field(description="Whether the caption's words of content come too.")] = (
        False
    )
    collective: Annotated[bool, Field(description=COLLECTIVE)] = False
    flag: Annotated[str | bool | None, Field(description=FLAG)] = None

    @property
    def options(self) -> Options:
        """The values, as they are passed on."""
        given = {name: getattr(self, name) for name in OptionFields.model_fields}
        said = {
            "tags": self.tags or None,
            "flag": _question(self.flag),
            "collective": 1 if self.collective else None,  # intake counts the pictures
        }
        return Options(**given | said)


def _question(flag: str | bool | None) -> str | None:
    """What is asked. A form has its words "true" and "false" as texts."""
    if isinstance(flag, str) and flag not in ("true", "false"):
        return flag
    return UNSAFE if flag in (True, "true") else None


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


class StyleFields(BaseModel):
    """Styles beside the plain captions. What is wrong here is told as `invalid_style`."""

    styles: Annotated[
        list[str] | str | None,
        BeforeValidator(_names),
        Field(description=STYLES, json_schema_extra=STYLE_NAMES),
    ] = None
    style_count: Annotated[
        int | None,
        Field(description="Captions of each style. Default: 2.", json_schema_extra=COUNTS),
    ] = None
    style_language: Annotated[
        str | None,
        Field(description="Default: that of the plain caption.", json_schema_extra=LANGUAGES),
    ] = None
    style_emoji: Annotated[bool | None, Field(description="Default: true.")] = None
    style_hashtags: Annotated[bool | None, Field(description="Default: true.")] = None
    style_tone: Annotated[
        str | None, Field(description="In the caller's own words.", json_schema_extra=TONES)
    ] = None
    styler: Annotated[str | None, Field(description=STYLER, json_schema_extra=STYLERS)] = None

    @property
    def styling(self) -> Styling | None:
        """The wish, if there is one. Raises `InvalidStyle`."""
        return self.wished(default=None)

    def wished(self, *, default: Iterable[str] | None) -> Styling | None:
        """The wish, of these styles where none are named. Raises `InvalidStyle`."""
        given = {name: getattr(self, name) for name in StyleFields.model_fields}
        names = [self.styles] if isinstance(self.styles, str) else self.styles
        others = [name for name, value in given.items() if value is not None and name != "styles"]
        wanted = default if names is None else names
        if wanted is None:
            if others:
                raise InvalidStyle(
                    f"{others[0]}: it says how, but 'styles', which, is missing.", option=others[0]
                )
            return None
        return styling(
            styles=wanted,
            styler=self.styler,
            **{name: given[f"style_{name}"] for name in STYLE_WISHES},
        )


class SubmitJson(Strict, OptionFields, StyleFields):
    """A submission as JSON."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in PICTURES]}
    )

    imgb64s: Annotated[
        list[str],
        FailFast(),  # a long list of wrong things is told by its first
        Field(
            default_factory=list,
            description="Pictures, each as base64 or as a data URI.",
            min_length=1,
        ),
    ]
    imgb64: Annotated[
        list[str],
        FailFast(),
        BeforeValidator(_listed),
        Field(
            default_factory=list,
            description="Another name of imgb64s, which takes a single picture too.",
            min_length=1,
            json_schema_extra={"type": ["array", "string"]},
        ),
    ]
    imgurls: Annotated[
        list[str],
        FailFast(),
        Field(
            default_factory=list,
            description="Pictures by http or https URL. They come after imgb64s.",
            min_length=1,
        ),
    ]
    imgurl: Annotated[
        list[str],
        FailFast(),
        BeforeValidator(_listed),
        Field(
            default_factory=list,
            description="Another name of imgurls, which takes a single URL too.",
            min_length=1,
            json_schema_extra={"type": ["array", "string"]},
        ),
    ]
    model: Annotated[str | None, Field(description="Model name. Default: the server's.")] = None
    priority: Annotated[Literal["low", "normal", "high"], Field(description=PRIORITY)] = "normal"
    store: Annotated[bool, Field(description=STORE)] = True
    webhook: Annotated[str | None, Field(description=WEBHOOK)] = None
    webhook_events: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(KINDS)})]] | None,
        Field(description=EVENTS, min_length=1, max_length=len(KINDS)),
    ] = None


class _Form(OptionFields, StyleFields):
    """What goes with the pictures of a multipart form."""

    model: str | None = None
    priority: Annotated[Literal["low", "normal", "high"], Field(description=PRIORITY)] = "normal"
    store: Annotated[Literal["true", "false"], Field(description=STORE)] = "true"
    webhook: Annotated[str | None, Field(description=WEBHOOK)] = None
    webhook_events: Annotated[
        str | None, Field(description=f"{EVENTS} With commas between: {', '.join(KINDS)}.")
    ] = None


class SubmitForm(_Form):
    """A submission as a multipart form."""

    images: Annotated[
        list[Annotated[str, Field(json_schema_extra={"format": "binary"})]],
        Field(description="Pictures, one part each. The field name 'file' works too."),
    ]


class ImageForm(_Form):
    """One picture for the image pipeline."""

    file: Annotated[
        str, Field(json_schema_extra={"format": "binary"}, description="A JPEG or PNG file.")
    ]


class UploadForm(_Form):
    """One picture, as a multipart form."""

    file: Annotated[str, Field(description="The picture.", json_schema_extra={"format": "binary"})]
