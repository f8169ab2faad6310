"""A model whose captions take long: a BLIP that never comes to the end of one.

It is a real checkpoint for the real engine, with nonsense for weights.
"""

import json
import shutil
from pathlib import Path

import torch
from transformers import AutoConfig, BlipForConditionalGeneration

from captioner.catalog import SCENES_FOLDER

TOKENS = 480
"""Set `CAPTIONER_MAX_NEW_TOKENS` to this: the model has no more positions."""


def endless(folder: Path, *, layers: int = 12) -> Path:
    """Write the checkpoint into a new folder. More layers are slower."""
    shutil.copytree(SCENES_FOLDER, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = AutoConfig.from_pretrained(SCENES_FOLDER)
    config.text_config.num_hidden_layers = layers
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[config.text_config.sep_token_id] = -1e4
    model.save_pretrained(folder)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What a worker needs to serve it as `endless`."""
    return {
        "CAPTIONER_MODEL": "endless",
        "CAPTIONER_MODELS": "endless",
        "CAPTIONER_MODEL_SOURCES": json.dumps({"endless": str(folder)}),
        "CAPTIONER_MAX_NEW_TOKENS": str(TOKENS),
    }
