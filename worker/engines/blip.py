"""BLIP: a picture goes through a vision tower, then a text decoder writes the caption.

Li et al., "BLIP: Bootstrapping Language-Image Pre-training", 2022 (arXiv:2201.12086). The network
is transformers' own; pictures arrive already resized, exactly as its image processor would do it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    LogitsProcessorList,
    StoppingCriteriaList,
)
from transformers.utils.logging import disable_progress_bar

from captioner.catalog import ModelEntry
from captioner.errors import ModelNotReady, ModelUnavailable
from captioner.options import PLAIN, Options
from captioner.settings import Settings
from worker.engines.device import Placement, place
from worker.engines.generation import (
    Chooser,
    Cut,
    Dice,
    arguments,
    ranked,
    rows_per_picture,
    seeds,
)
from worker.engines.protocol import Caption, Pixels, Stopped
from worker.engines.trouble import may_pass
from worker.engines.weights import fetch


class BlipEngine:
    """Captions equal token by token to `BlipForConditionalGeneration.generate`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        processor: Any,
        *,
        placement: Placement,
        revision: str,
        max_new_tokens: int,
    ) -> None:
        self.model = model
        self.processor = processor
        self.placement = placement
        self.max_new_tokens = max_new_tokens
        self._tokenizer = tokenizer
        self._revision = revision
        size = processor.size
        self._image_size = (int(size["height"]), int(size["width"]))

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) that the vision tower takes."""
        return self._image_size

    @property
    def revision(self) -> str:
        """The commit of the hub repository, or a hash of the local weights."""
        return self._revision

    @property
    def out_of_memory(self) -> tuple[type[BaseException], ...]:
        """PyTorch's own exception on a GPU, Python's in main memory."""
        return (MemoryError, torch.OutOfMemoryError)

    @torch.inference_mode()
    def caption(
        self,
        pictures: Sequence[Pixels],
        options: Options = PLAIN,
        *,
        stopped: Stopped | None = None,
    ) -> list[Caption | None]:
        """One caption per picture. A prompt is the caption's beginning, and part of the answer.

        After each token it is asked which captions are `stopped`; those end there, as `None`.
        """
        each = rows_per_picture(options)
        rows = each * len(pictures)
        chooser = Chooser(Dice(options.temperature, seeds(options, rows=rows)))
        cut = Cut(stopped, pictures=len(pictures), ends=[self.end]) if stopped else None
        made = self.model.generate(
            pixel_values=self._pixel_values(pictures).repeat_interleave(each, 0),
            **self._inputs(options.prompt, rows),
            **arguments(options, max_new_tokens=self.max_new_tokens),
            logits_processor=LogitsProcessorList([] if _beams(options) else [chooser]),
            stopping_criteria=StoppingCriteriaList([cut] if cut else []),
        )
        captions = self._read(made, chooser)
        each = options.captions
        return [
            None if cut and cut.pictures[n] else ranked(captions[n * each : (n + 1) * each])
            for n in range(len(pictures))
        ]

    def prompt_ids(self, prompt: str | None) -> torch.Tensor:
        """(1, T) the tokens that a caption begins with, on the engine's device."""
        ids = [self.model.config.text_config.bos_token_id]
        if prompt:
            # A prompt is words: what looks like a special token in it is not one.
            ids += self._tokenizer(prompt, split_special_tokens=True).input_ids[1:-1]
        return torch.tensor([ids], device=self.placement.device)

    def _inputs(self, prompt: str | None, rows: int) -> dict[str, torch.Tensor]:
        # `generate` cuts the last token off: there the processor has put the end of the prompt
        ids = torch.nn.functional.pad(self.prompt_ids(prompt), (0, 1), value=self.end)
        ids = ids.repeat(rows, 1)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    @property
    def end(self) -> int:
        """The token that ends a caption."""
        token: int = self.model.config.text_config.sep_token_id
        return token

    def _pixel_values(self, pictures: Sequence[Pixels]) -> torch.Tensor:
        # (B, H, W, 3) uint8 -> (B, 3, H, W), scaled and normalised by the model's own processor
        values = self.processor(
            list(pictures), do_resize=False, input_data_format="channels_last", return_tensors="pt"
        ).pixel_values
        tensor: torch.Tensor = values.to(self.placement.device, self.placement.dtype)
        return tensor

    def _read(self, made: Any, chooser: Chooser) -> list[Caption]:
        rows = made.sequences.tolist()
        # What follows the end is padding.
        tokens = [row[: row.index(self.end) + 1] if self.end in row else row for row in rows]
        scored = getattr(made, "sequences_scores", None)
        if scored is None:
            given = len(rows[0]) - chooser.steps
            scores = chooser.means([len(row) - given for row in tokens])
        else:
            scores = scored.tolist()
        return [self.read(row, score=score) for row, score in zip(tokens, scores, strict=True)]

    def read(self, tokens: list[int], *, score: float) -> Caption:
        """The caption that tokens stand for."""
        text = self._tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return Caption(text, tuple(tokens), score)


def _beams(options: Options) -> bool:
    return (options.num_beams or 1) > 1


class BlipMaker:
    """Makes BLIP engines on the device that the settings name, as `kinds.Maker` asks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.placement = place(settings)

    @property
    def device(self) -> str:
        """Device and number format."""
        return self.placement.name

    def make(self, entry: ModelEntry) -> BlipEngine:
        """The engine of a model, loaded and warm. Raises `ModelUnavailable` with the cause."""
        engine = load(
            entry.source,
            revision=self._settings.model_revision,
            placement=self.placement,
            max_new_tokens=self._settings.max_new_tokens,
        )
        warm_up(engine)
        return engine


def load(source: str, *, revision: str, placement: Placement, max_new_tokens: int) -> BlipEngine:
    """Load BLIP from a hub id or a folder in the hub's format.

    Nothing in the repository is executed: weights are safetensors, or pickles read through
    `weights_only`, and remote code is refused. Raises `ModelUnavailable` with the cause:
    `ModelNotReady` where the machine or a damaged file is at fault.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        weights = fetch(source, revision=revision)
        processor = BlipImageProcessorPil.from_pretrained(weights.folder)
        tokenizer = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False)
        model = _network(weights.folder, placement)
    except ModelUnavailable:
        raise
    except Exception as error:
        kind = ModelNotReady if may_pass(error) else ModelUnavailable
        raise kind(_cause(source, error)) from error
    return BlipEngine(
        model,
        tokenizer,
        processor,
        placement=placement,
        revision=weights.revision,
        max_new_tokens=max_new_tokens,
    )


def _network(folder: Path, placement: Placement) -> Any:
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type != "blip":
        raise ValueError(f"it holds a {config.model_type!r} network, and this engine runs 'blip'")
    loaded: Any = BlipForConditionalGeneration.from_pretrained(
        folder, dtype=placement.dtype, trust_remote_code=False, output_loading_info=True
    )
    model, info = loaded
    if info["missing_keys"]:  # transformers would fill them with noise and only warn
        raise ValueError(f"its weights lack {sorted(info['missing_keys'])[:3]}")
    return model.to(placement.device).eval()


def warm_up(engine: BlipEngine) -> None:
    """Caption one grey picture, so that the first real one does not pay for set-up."""
    height, width = engine.image_size
    grey = np.full((height, width, 3), 128, dtype=np.uint8)
    engine.caption([grey])


def _cause(source: str, error: Exception) -> str:
    first_line = (str(error).strip().splitlines() or [""])[0]
    return f"{source} cannot be loaded: {type(error).__name__}: {first_line}"[:500]
