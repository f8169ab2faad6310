"""The chat models' stand-ins, beside transformers' own processor and `generate` for each."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    InternVLForConditionalGeneration,
    InternVLProcessor,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from captioner.options import Options
from tests.unit.asking import CPU, fitted, photographs
from worker.engines import gemma, intern_vlm
from worker.engines.chat import ChatEngine
from worker.engines.prompts import prompt_for

TOKENS = 12
PLAIN = Options(max_new_tokens=TOKENS)


class WithoutVideos(InternVLProcessor):
    """Transformers' own, that does not mind its missing part."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name != "video_processor":
            return super().check_argument_for_proper_class(argument_name, argument)
        return None


def intern_reference(folder: Path) -> tuple[Any, Any]:
    processor = WithoutVideos(
        GotOcr2ImageProcessorPil.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        None,
        image_seq_length=json.loads((folder / "processor_config.json").read_text())[
            "image_seq_length"
        ],
        chat_template=(folder / "chat_template.jinja").read_text(),
    )
    return InternVLForConditionalGeneration.from_pretrained(folder).eval(), processor


def gemma_reference(folder: Path) -> tuple[Any, Any]:
    model = Gemma3ForConditionalGeneration.from_pretrained(folder).eval()
    return model, Gemma3Processor.from_pretrained(folder)


MODULES: dict[str, ModuleType] = {"intern_vlm": intern_vlm, "gemma": gemma}
REFERENCES = {"intern_vlm": intern_reference, "gemma": gemma_reference}
WHOLE = {"intern_vlm": {"crop_to_patches": False}, "gemma": {"do_pan_and_scan": False}}
PICTURES = photographs()


def load(kind: str, folder: Path) -> ChatEngine:
    return MODULES[kind].load(str(folder), revision="main", placement=CPU, max_new_tokens=20)


@dataclass
class Case:
    kind: str
    folder: Path

    def __post_init__(self) -> None:
        self.engine = load(self.kind, self.folder)
        self.pixels = fitted(PICTURES, self.engine)
        self.model, self.processor = REFERENCES[self.kind](self.folder)
        self.reference = cache(self._reference)

    def inputs(self, *pictures: Image.Image, options: Options = PLAIN) -> Any:
        """What the model's own processor makes of a chat about pictures as they came."""
        prompt = prompt_for(options)
        shown = [{"type": "image", "image": picture} for picture in pictures]
        asked = [*shown, {"type": "text", "text": prompt.user}]
        told = [{"type": "text", "text": prompt.system}]
        return self.processor.apply_chat_template(
            [[{"role": "system", "content": told}, {"role": "user", "content": asked}]],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"images_kwargs": WHOLE[self.kind]},
        )

    def _reference(self, **arguments: Any) -> list[list[int]]:
        """Tokens by transformers alone: its processor and `generate`, one picture at a time."""
        answers = []
        for picture in PICTURES:
            inputs = self.inputs(picture)
            with torch.inference_mode():
                made = self.model.generate(
                    **inputs, do_sample=False, max_new_tokens=TOKENS, **arguments
                )
            answers.append(made[0, inputs["input_ids"].shape[1] :].tolist())
        return answers
