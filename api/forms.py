"""The shapes of requests. The OpenAPI document is made from these same classes."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from api.hooks import KINDS
from captioner.options import UNSAFE, Length, Options

PRIORITY = "'high' goes an hour ahead of 'normal', and 'low' an hour behind."
WEBHOOK = "URL that is told when the job has started or ended, signed by Standard Webhooks."
EVENTS = "What it is told of. Default: job.finished."
LENGTH = "How much is said. 'alt_text': one sentence of at most 125 characters."
COLLECTIVE = "Whether all pictures get one caption together. Chat models alone can."
FLAG = (
    "A question of yes or no about each picture, which chat models answer in 'flagged'. "
    "true: whether it is unsafe."
)
STORE = "Whether the job is kept once its result was delivered."


PICTURES = ("imgb64s", "imgurls", "imgurl")
"""The fields of a JSON body that hold pictures."""


class Strict(BaseModel):
    """Refuses fields that it does not know, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OptionFields(BaseModel):
    """How captions are to be made. What a model takes of these is in its description."""

    prompt: Annotated[
        str | None, Field(description="Beginning of the caption; what a chat model is asked.")
    ] = None
    system: Annotated[str | None, Field(description="What a chat model is told first.")] = None
    max_new_tokens: Annotated[int | None, Field(description="Longest caption, in tokens.")] = None
    min_new_tokens: Annotated[int | None, Field(description="Shortest caption, in tokens.")] = None
    num_beams: Annotated[int | None, Field(description="Captions that are followed at once.")] = (
        None
    )
    num_captions: Annotated[int | None, Field(description="Captions of each picture.")] = None
    temperature: Annotated[
        float | None, Field(description="Above 0, captions are drawn. Default: the likeliest.")
    ] = None
    seed: Annotated[int | None, Field(description="Draws the same caption again.")] = None
    language: Annotated[str | None, Field(description="Of the answer, of chat models.")] = None
    length: Annotated[Length | None, Field(description=LENGTH, strict=False)] = None

    no_repeat_ngram: Annotated[
        int | None, Field(description="No run of so many tokens comes twice.")
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


class SubmitJson(Strict, OptionFields):
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
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
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


class SubmitForm(OptionFields):
    """A submission as a multipart form."""

    images: Annotated[
        list[Annotated[str, Field(json_schema_extra={"format": "binary"})]],
        Field(description="Pictures, one part each. The field name 'file' works too."),
    ]
    model: str | None = None
    priority: Annotated[Literal["low", "normal", "high"], Field(description=PRIORITY)] = "normal"
    store: Annotated[Literal["true", "false"], Field(description=STORE)] = "true"
    webhook: Annotated[str | None, Field(description=WEBHOOK)] = None
    webhook_events: Annotated[
        str | None, Field(description=f"{EVENTS} With commas between: {', '.join(KINDS)}.")
    ] = None
