"""BLIP-base in its real size, as a folder of the hub's form: seeded noise for weights.

So nothing is downloaded, and all that loads BLIP loads this.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
)

SPECIALS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 30_522: "[DEC]"}
"""Where BLIP-base has them."""
SIDE = 384


def network() -> Any:
    """BLIP-base's architecture with seeded weights."""
    torch.manual_seed(0)
    config = BlipConfig(text_config={"num_attention_heads": 12})
    return BlipForConditionalGeneration(config).eval()


def save(folder: Path) -> Path:
    """Write weights, tokenizer and image processor into `folder`: 1 GB. Returns it."""
    made = network()
    words = range(made.config.text_config.vocab_size)
    vocabulary = {SPECIALS.get(number, f"word{number}"): number for number in words}
    tokenizer = BertTokenizer(vocab=vocabulary, bos_token=SPECIALS[30_522], model_max_length=512)
    images = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor: Any = BlipProcessor
    processor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    images.save_pretrained(folder)
    made.save_pretrained(folder)
    return folder
