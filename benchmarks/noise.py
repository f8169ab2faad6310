"""BLIP-base in its real size, with seeded noise for weights, so that nothing is downloaded."""

from pathlib import Path
from typing import Any

import torch
from transformers import BlipConfig, BlipForConditionalGeneration

SPECIALS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 30_522: "[DEC]"}
"""Where BLIP-base has them."""
BASE: dict[str, Any] = {"text_config": {"num_attention_heads": 12}}
"""The rest of it is what transformers takes by itself."""
SIDE = 384


def network(config: dict[str, Any] = BASE) -> Any:
    """BLIP-base's architecture, or that of another config, with seeded weights."""
    torch.manual_seed(0)
    return BlipForConditionalGeneration(BlipConfig(**config)).eval()


def save(folder: Path) -> Path:
    """Write weights, tokenizer and image processor as the hub has them: 1 GB. Returns `folder`."""
    from transformers import BertTokenizer, BlipImageProcessorPil, BlipProcessor

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
