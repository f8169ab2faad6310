"""The models that can be asked for, by name. No network is loaded here, and no torch imported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from captioner import revisions
from captioner.errors import ModelUnavailable, ModelUnknown
from captioner.options import ASKING, CHATTING, COMPLETING, Limits
from captioner.settings import Settings
from captioner.vllm import is_address

SCENES_FOLDER = Path(__file__).parent / "checkpoints" / "scenes"

MODEL_TYPES = {"blip": "blip", "blip-2": "blip2", "internvl": "intern_vlm", "gemma3": "gemma"}
"""The `model_type` of a config.json to the kind of engine that runs it."""
CHAT_KINDS = frozenset({"intern_vlm", "gemma"})

GOES_ON = "The caption goes on with it."
ANSWERS = "A question, which the caption answers."


@dataclass(frozen=True)
class ModelEntry:
    """One model: where its weights come from, and what a caller should know of it."""

    name: str
    source: str
    """A Hugging Face hub id, a local folder in the same format, or a vLLM server's address."""
    kind: str
    """The engine that runs it: a name in `worker.engines.kinds`. "own": as its config.json says."""
    license: str
    description: str
    limits: Limits = COMPLETING
    """What a request may ask of it."""
    prompt: str = GOES_ON
    """What becomes of a request's prompt."""
    memory: str = "as large as its weights, and room for a batch"
    """What its weights take while it is loaded."""
    batch: int = 16
    """Pictures at once, unless `CAPTIONER_MAX_BATCH` is set."""
    batch_on_cpu: int = 4
    """The same on a CPU, where a batch takes nearly as long as its pictures by themselves: so that
    one that comes between waits for few."""


BUILT_IN = (
    ModelEntry(
        name="blip",
        source="Salesforce/blip-image-captioning-base",
        kind="blip",
        license="BSD-3-Clause",
        description="BLIP base, 247 M parameters: one short English sentence. The default.",
        memory="1.0 GB in float32, 0.5 GB in bfloat16",
    ),
    ModelEntry(
        name="blip-large",
        source="Salesforce/blip-image-captioning-large",
        kind="blip",
        license="BSD-3-Clause",
        description="BLIP large, 470 M parameters: slower and a little more precise.",
        memory="1.9 GB in float32, 0.9 GB in bfloat16",
    ),
    ModelEntry(
        name="scenes",
        source=str(SCENES_FOLDER),
        kind="blip",
        license="MIT",
        description="Our own tiny BLIP for drawn shapes. For demos and tests, not photographs.",
        memory="under 20 MB",
        batch_on_cpu=16,
    ),
    ModelEntry(
        name="blip2",
        source="Salesforce/blip2-opt-2.7b",
        kind="blip2",
        license="MIT",
        description="BLIP-2 with OPT, 3.7 B parameters: goes on with a prompt, in English.",
        memory="15 GB in float32, 7.5 GB in bfloat16",
        batch=8,
    ),
    ModelEntry(
        name="intern_vlm",
        source="OpenGVLab/InternVL3-1B-hf",
        kind="intern_vlm",
        license="MIT; Apache-2.0 for its part Qwen2.5",
        description="InternVL 3, 0.9 B parameters: answers questions about a picture.",
        limits=CHATTING,
        prompt=ANSWERS,
        memory="3.8 GB in float32, 1.9 GB in bfloat16",
        batch=8,
    ),
    ModelEntry(
        name="gemma",
        source="google/gemma-3-4b-it",
        kind="gemma",
        license="Gemma Terms of Use",
        description="Gemma 3, 4.3 B parameters: answers questions, in many languages.",
        limits=CHATTING,
        prompt=ANSWERS,
        memory="17 GB in float32, 8.6 GB in bfloat16",
        batch=4,
    ),
)

_added: dict[str, ModelEntry] = {}


def add(entry: ModelEntry) -> None:
    """Make a model known to this process, for start scripts that bring an engine of their own."""
    _added[entry.name] = entry


def entries(settings: Settings) -> Mapping[str, ModelEntry]:
    """Every model known by name: built in, added, or named by `model_sources`."""
    own = (_own(name, source) for name, source in settings.model_sources.items())
    return {entry.name: entry for entry in (*BUILT_IN, *_added.values(), *own)}


def find(name: str, settings: Settings) -> ModelEntry:
    """The entry of a served model.

    Raises `ModelUnknown`, naming those that are served.
    """
    entry = entries(settings).get(name)
    if entry is None or name not in settings.served_models:
        raise ModelUnknown(
            f"This server does not serve a model named {name[:64]!r}; "
            f"it serves: {', '.join(settings.served_models)}.",
            served=list(settings.served_models),
        )
    return entry


def style_model(settings: Settings) -> str | None:
    """The chat model that the styler `local` asks; `None` where no such model is served."""
    known = entries(settings)
    wanted = (settings.style_model,) if settings.style_model else settings.served_models
    for name in wanted:
        entry = known.get(name)
        if name in settings.served_models and entry is not None and entry.limits.chats:
            return name
    return None


def batch_of(entry: ModelEntry, settings: Settings, *, device: str = "") -> int:
    """Pictures at once: what the operator set, and otherwise what suits model and device."""
    if "max_batch" in settings.model_fields_set:
        return settings.max_batch
    suits = min(entry.batch, entry.batch_on_cpu) if device.startswith("cpu") else entry.batch
    return min(suits, settings.max_batch)


def revision_of(entry: ModelEntry, settings: Settings) -> str:
    """The revision of a hub model that the operator wants."""
    wanted = revisions.parse(settings.model_revision)
    return wanted.get(entry.name) or wanted.get("", revisions.USUAL)


def check_revisions(settings: Settings) -> None:
    """Raise `ModelUnavailable` when the revisions that the operator wants fit no models here."""
    known = entries(settings)
    served = [known[name] for name in settings.served_models if name in known]
    hub = [e.name for e in served if not (is_address(e.source) or Path(e.source).is_dir())]
    wrong = revisions.fault(revisions.parse(settings.model_revision), known=known, hub=hub)
    if wrong:
        raise ModelUnavailable(f"CAPTIONER_MODEL_REVISION={settings.model_revision!r}: {wrong}.")


def queue_of(model: str) -> str:
    """The Celery queue that carries a model's work."""
    return f"caption.{model}"


def _own(name: str, source: str) -> ModelEntry:
    if is_address(source):
        return ModelEntry(
            name,
            source,
            "vllm",
            "as its owner says",
            "A chat model that a vLLM server runs.",
            limits=ASKING,
            prompt=ANSWERS,
            memory="none in the worker",
        )
    chats = MODEL_TYPES.get(_type_in(Path(source)) or "") in CHAT_KINDS
    return ModelEntry(
        name,
        source,
        "own",
        "as its owner says",
        f"Your own: {source}",
        limits=CHATTING if chats else COMPLETING,
        prompt=ANSWERS if chats else GOES_ON,
    )


def _type_in(folder: Path) -> str | None:
    """The type of a local folder's network; `None` where the worker will find it out."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
