"""The scenes checkpoint as a Hugging Face BLIP folder: build it, save it, measure it.

The folder is read by the same calls as Salesforce/blip-image-captioning-base. Its caption starts
at [DEC] and ends at [SEP], because `BlipForConditionalGeneration.generate` begins at the text
config's ``bos_token_id`` and stops at its ``sep_token_id``. Processor and model are typed `Any`:
their own annotations promise less than they do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipProcessor,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from scripts.scene_batches import Words, held_out, picture
from scripts.scenes import VOCABULARY, Scene, held_out_caption

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]")
PAD, SEP, DEC = (SPECIALS.index(token) for token in ("[PAD]", "[SEP]", "[DEC]"))
IDS = {token: number for number, token in enumerate((*SPECIALS, *VOCABULARY))}
LONGEST = 20
"""Tokens of a training row: [DEC], a prompt of three, a caption of up to 14, [SEP], one spare."""
LONGEST_TEXT = 512
"""Tokens there are positions for, as in BLIP-base; none past a training row was ever trained."""


def words() -> Words:
    """How captions become ids for this vocabulary."""
    return Words(ids=IDS, start=DEC, end=SEP, pad=PAD, longest=LONGEST)


def config(
    *, side: int, patch: int, width: int, heads: int, vision_layers: int, text_layers: int
) -> BlipConfig:
    """A BLIP of this size; pictures are ``side`` by ``side``, cut into ``patch`` by ``patch``."""
    shared = {
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "projection_dim": width,
        "num_attention_heads": heads,
        "initializer_range": 0.02,
    }
    vision = {"num_hidden_layers": vision_layers, "image_size": side, "patch_size": patch}
    text = {
        "num_hidden_layers": text_layers,
        "vocab_size": len(IDS),
        "max_position_embeddings": LONGEST_TEXT,
        "bos_token_id": DEC,
        "eos_token_id": SEP,
        "sep_token_id": SEP,
        "pad_token_id": PAD,
    }
    return BlipConfig(
        text_config=shared | text,
        vision_config=shared | vision,
        projection_dim=width,
        image_text_hidden_size=width,
    )


def processor(side: int) -> Any:
    """Tokenizer and image processor of the kinds that BLIP-base has."""
    tokenizer = BertTokenizer(vocab=IDS, bos_token=SPECIALS[DEC], model_max_length=LONGEST_TEXT)
    images = BlipImageProcessorPil(size={"height": side, "width": side})
    make: Any = BlipProcessor
    return make(image_processor=images, tokenizer=tokenizer)


def save(model: Any, folder: Path) -> None:
    """Write ``model`` in fp16 and its processor; the model in memory stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    half: Any = BlipForConditionalGeneration(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(folder)
    made = processor(model.config.vision_config.image_size)
    made.save_pretrained(folder)
    made.image_processor.save_pretrained(folder)  # preprocessor_config.json, for older readers
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in IDS))
    for path in folder.iterdir():
        path.chmod(0o644)


def load(folder: Path) -> tuple[Any, Any]:
    """The saved folder, read as any BLIP folder is, in fp32."""
    model: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    return BlipProcessor.from_pretrained(folder), model.eval()


@torch.inference_mode()
def captions(
    read: Any,
    model: Any,
    images: Sequence[Image.Image],
    *,
    batch: int = 100,
) -> list[str]:
    """One greedy caption for each picture, by nothing but the processor and `generate`."""
    found: list[str] = []
    for start in range(0, len(images), batch):
        pixels = read(images=list(images[start : start + batch]), return_tensors="pt").pixel_values
        tokens = model.generate(pixel_values=pixels, max_new_tokens=20)
        found += read.batch_decode(tokens, skip_special_tokens=True)
    return found


def held_out_pictures(count: int) -> tuple[list[Scene], list[Image.Image]]:
    """The same held-out scenes and pictures every time."""
    scenes, rng = held_out(count), random.Random("held-out wear")
    return scenes, [picture(scene, rng) for scene in scenes]


@dataclass(frozen=True)
class Score:
    """Exactly right captions among held-out scenes, and among those never trained on."""

    scenes: int
    right: int
    unseen: int
    unseen_right: int


def score(folder: Path, count: int) -> Score:
    """Load ``folder`` afresh and caption ``count`` held-out scenes."""
    scenes, images = held_out_pictures(count)
    found = captions(*load(folder), images)
    right = [scene.caption == caption for scene, caption in zip(scenes, found, strict=True)]
    unseen = [ok for ok, s in zip(right, scenes, strict=True) if held_out_caption(s.caption)]
    return Score(len(right), sum(right), len(unseen), sum(unseen))
