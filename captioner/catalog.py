"""The models that can be asked for, by name. No network is loaded here, and no torch imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from captioner.errors import ModelUnknown
from captioner.options import COMPLETING, Limits
from captioner.settings import Settings

SCENES_FOLDER = Path(__file__).parent / "checkpoints" / "scenes"


@dataclass(frozen=True)
class ModelEntry:
    """One model: where its weights come from, and what a caller should know of it."""

    name: str
    source: str
    """A Hugging Face hub id, or a local folder in the same format."""
    kind: str
    """The engine that runs it: a name in `worker.engines.kinds`."""
    license: str
    description: str
    limits: Limits = COMPLETING
    """What a request may ask of it."""


BUILT_IN = (
    ModelEntry(
        name="blip",
        source="Salesforce/blip-image-captioning-base",
        kind="blip",
        license="BSD-3-Clause",
        description="BLIP base, 247 M parameters: one short English sentence. The default.",
    ),
    ModelEntry(
        name="blip-large",
        source="Salesforce/blip-image-captioning-large",
        kind="blip",
        license="BSD-3-Clause",
        description="BLIP large, 470 M parameters: slower and a little more precise.",
    ),
    ModelEntry(
        name="scenes",
        source=str(SCENES_FOLDER),
        kind="blip",
        license="MIT",
        description="Our own tiny BLIP for drawn shapes. For demos and tests, not photographs.",
    ),
)

_added: dict[str, ModelEntry] = {}


def add(entry: ModelEntry) -> None:
    """Make a model known to this process, for start scripts that bring an engine of their own."""
    _added[entry.name] = entry


def entries(settings: Settings) -> Mapping[str, ModelEntry]:
    """Every model known by name: built in, added, or named by `model_sources`."""
    own = (
        ModelEntry(name, source, "blip", "as its owner says", f"Your own BLIP: {source}")
        for name, source in settings.model_sources.items()
    )
    return {entry.name: entry for entry in (*BUILT_IN, *_added.values(), *own)}


def find(name: str, settings: Settings) -> ModelEntry:
    """The entry of a served model.

    Raises `ModelUnknown`, naming those that are served.
    """
    entry = entries(settings).get(name)
    if entry is None or name not in settings.served_models:
        raise ModelUnknown(
            f"This server does not serve a model named {name!r}; "
            f"it serves: {', '.join(settings.served_models)}.",
            served=list(settings.served_models),
        )
    return entry


def queue_of(model: str) -> str:
    """The Celery queue that carries a model's work."""
    return f"caption.{model}"
