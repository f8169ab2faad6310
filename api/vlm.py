"""The shapes of the VLM API's answers: captions with tags and flags, and what models there are."""

import json
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field

from api.forms import StyleFields
from api.image_view import ImageFault, fault
from api.style_view import TITLES, WishedStyles, fields_wished
from captioner import catalog
from captioner.catalog import ModelEntry
from captioner.options import Options, ranges
from captioner.queries import JobRead
from captioner.settings import Settings
from models import Job, JobImage

TAGS = "The caption's words of content."
FLAGGED = "The answer to the flag question; null where the model gave none."


class VlmResult(WishedStyles):
    """One picture of a request."""

    filename: str | None
    caption: Annotated[str | None, Field(description="null where the picture failed")]
    tags: Annotated[list[str], Field(description=TAGS)]
    flagged: Annotated[bool | None, Field(description=FLAGGED)]
    cache: Annotated[bool, Field(description="Whether the caption was made before.")]
    error: Annotated[
        ImageFault | None, Field(description="Why there is no caption; only where there is none.")
    ] = None

    @classmethod
    def of(cls, image: JobImage, job: Job) -> Self:
        """The view of a row."""
        why = fault(image)
        return cls(
            filename=image.file_name,
            caption=image.caption,
            tags=json.loads(image.tags or "[]"),
            flagged=image.flagged,
            cache=image.cached,
            **(fields_wished(image, job) if why is None else {"error": why}),
        )

    @classmethod
    def refused(cls, error: dict[str, Any]) -> Self:
        """The view of a picture that intake refused."""
        code = error["code"]
        why = ImageFault(code=code, title=TITLES.get(code, code), detail=error["detail"])
        name = error["file_name"]
        return cls(filename=name, caption=None, tags=[], flagged=None, cache=False, error=why)


class VlmResults(BaseModel):
    """Each picture, in the order sent."""

    results: list[VlmResult]

    @classmethod
    def of(cls, read: JobRead) -> Self:
        """The view of a job's images."""
        return cls(results=[VlmResult.of(image, read.job) for image in read.images])


class VlmCollective(WishedStyles):
    """One caption of all pictures together."""

    collective_caption: str
    count: Annotated[int, Field(description="How many pictures it is of.")]
    tags: Annotated[list[str], Field(description=TAGS)]
    flagged: Annotated[bool | None, Field(description=FLAGGED)]

    @classmethod
    def of(cls, read: JobRead) -> Self:
        """The view of a job that has its caption."""
        (image,) = read.images
        return cls(
            collective_caption=image.caption or "",
            count=Options.from_json(read.job.options).collective or 1,
            tags=json.loads(image.tags or "[]"),
            flagged=image.flagged,
            **fields_wished(image, read.job),
        )


class PicturesForm(StyleFields):
    """Pictures as a multipart form, and the styles of their captions."""

    images: Annotated[
        list[Annotated[str, Field(json_schema_extra={"format": "binary"})]],
        Field(description="Pictures, one part each. The field name 'file' works too."),
    ]


class OptionBounds(BaseModel):
    """What an option may be. Both are null where it is no number."""

    minimum: int | float | None = None
    maximum: int | float | None = None


class ModelOffer(BaseModel):
    """A model that requests may name."""

    name: str
    description: str
    default: bool
    prompt: Annotated[str, Field(description="What becomes of a request's prompt.")]
    chats: Annotated[bool, Field(description="Whether it answers questions, and so flags.")]
    collective: Annotated[int, Field(description="Pictures of one caption, at most; 0: it cannot.")]
    license: Annotated[str, Field(description="Of its weights.")]
    memory: Annotated[str, Field(description="What its weights take while it is loaded.")]
    batch: Annotated[int, Field(description="Pictures at once, at most; on a CPU often fewer.")]
    options: Annotated[
        dict[str, OptionBounds], Field(description="Those that it takes, and their bounds.")
    ]

    @classmethod
    def of(cls, entry: ModelEntry, settings: Settings) -> Self:
        """The view of an entry of the catalog."""
        limits, bounds = entry.limits, ranges(entry.limits)
        return cls(
            name=entry.name,
            description=entry.description,
            default=entry.name == settings.model,
            prompt=entry.prompt,
            chats=limits.chats,
            collective=limits.max_collective if "collective" in limits.takes else 0,
            license=entry.license,
            memory=entry.memory,
            batch=catalog.batch_of(entry, settings),
            options={
                name: OptionBounds(minimum=least, maximum=most)
                for name in sorted(limits.takes)
                for least, most in [bounds.get(name, (None, None))]
            },
        )


class RequestLimits(BaseModel):
    """What one request may bring, as the operator set it."""

    max_images: int
    max_image_bytes: int
    max_body_bytes: int
    max_prompt_chars: int
    image_formats: list[str]


class Offer(BaseModel):
    """What may be asked of this server."""

    models: Annotated[list[ModelOffer], Field(description="The default one first.")]
    limits: RequestLimits

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The view of the settings."""
        known = catalog.entries(settings)
        served = [known[name] for name in settings.served_models if name in known]
        served.sort(key=lambda entry: entry.name != settings.model)
        return cls(
            models=[ModelOffer.of(entry, settings) for entry in served],
            limits=RequestLimits.model_validate(settings, from_attributes=True),
        )
