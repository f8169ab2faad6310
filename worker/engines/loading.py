"""From a model's source to a network in memory: what the engines of every kind share."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from transformers import AutoConfig, AutoImageProcessor
from transformers.utils.logging import disable_progress_bar

from captioner.catalog import ModelEntry, batch_of, check_revisions, revision_of
from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.settings import Settings
from worker.engines.device import Placement, place
from worker.engines.protocol import Engine, Prepares
from worker.engines.trouble import may_pass, translated
from worker.engines.weights import Weights, fetch

Loaded = TypeVar("Loaded")
_building = threading.Lock()
"""While transformers makes a network, PyTorch's default number format and its initialisers are
changed for the whole process: two at once could leave the one's with the other.
"""


class Load(Protocol):
    """Loads the engine of a source. Raises `ModelUnavailable` with the cause."""

    def __call__(
        self, source: str, *, revision: str, placement: Placement, max_new_tokens: int
    ) -> Engine: ...


class WeightsMaker:
    """Makes engines from weights on the device that the settings name, as `kinds.Maker` asks.

    Raises `ModelUnavailable` when settings name a device or a model's revision that there is not.
    """

    def __init__(self, settings: Settings, load: Load) -> None:
        self._settings = settings
        self._load = load
        check_revisions(settings)
        self._placement = place(settings)

    @property
    def device(self) -> str:
        """Device and number format."""
        return self._placement.name

    def make(self, entry: ModelEntry) -> Engine:
        """The engine of a model, loaded and warm. Raises `ModelUnavailable` with the cause."""
        engine = self._load(
            entry.source,
            revision=revision_of(entry, self._settings),
            placement=self._placement,
            max_new_tokens=self._settings.max_new_tokens,
        )
        warm_up(engine, batch=batch_of(entry, self._settings, device=self.device))
        return engine


def from_source(source: str, *, revision: str, build: Callable[[Weights], Loaded]) -> Loaded:
    """What `build` makes of the folder of a hub id, or of a folder in the hub's format.

    Nothing in the repository is executed: weights are safetensors, or pickles read through
    `weights_only`, and remote code is refused. One is built at a time. Raises `ModelUnavailable`
    with the cause: `ModelNotReady` where the machine or a damaged file is at fault.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        weights = fetch(source, revision=revision)
        with _building, translated():
            return build(weights)
    except ModelUnavailable:
        raise
    except Exception as error:
        kind = ModelNotReady if may_pass(error) else ModelUnavailable
        raise kind(_cause(source, error)) from error


def network(architecture: Any, folder: Path, placement: Placement, *, model_type: str) -> Any:
    """The network in a folder, ready to answer. ValueError: it is another, or not whole."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type != model_type:
        raise ValueError(
            f"it holds a {config.model_type!r} network, and this engine runs {model_type!r}"
        )
    model, info = architecture.from_pretrained(
        folder, dtype=placement.exact, trust_remote_code=False, output_loading_info=True
    )
    if info["missing_keys"]:  # transformers would fill them with noise and only warn
        raise ValueError(f"its weights lack {sorted(info['missing_keys'])[:3]}")
    return model.to(placement.device).eval()


def image_processor(folder: Path) -> Any:
    """The image processor in a folder, in Pillow: the same pixels on every machine."""
    read: Any = AutoImageProcessor
    return read.from_pretrained(folder, backend="pil", trust_remote_code=False)


def type_of(folder: Path) -> str:
    """The type of network that a folder holds, by its config. OSError, ValueError: it has none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return str(config["model_type"]) if "model_type" in config else "nameless"


def warm_up(engine: Engine, *, batch: int = 1) -> None:
    """Caption one grey picture, and a batch of them, so that no real one pays for set-up.

    The largest batch is prepared for first: room that grew later would undo what smaller ones set
    up. Networks are set up anew for each size of batch. What memory a full one lacks, the batcher
    will find out.
    """
    if isinstance(engine, Prepares):
        _prepare(engine, batch)
    height, width = engine.image_size
    grey = np.full((height, width, 3), 128, dtype=np.uint8)
    engine.caption([grey])
    if batch > 1:
        with suppress(MemoryError):
            engine.caption([grey] * batch)


def _prepare(engine: Prepares, batch: int) -> None:
    while batch:
        try:
            engine.prepare(batch)
        except MemoryError:
            batch //= 2
        else:
            return


def _cause(source: str, error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return f"{source} cannot be loaded: {type(error).__name__}: {first_line}"[:500]
