"""Tiny checkpoints of the larger architectures, for the real engines: seeded noise for weights.

Each is a folder as the hub has it: config, safetensors, tokenizer, image processor, chat template
of the same structure. Some ids end a caption, so that captions of one batch differ in length.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3Processor,
    GemmaTokenizer,
    GPT2Tokenizer,
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2Tokenizer,
)
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.utils.logging import disable_progress_bar

TEXT = """You describe pictures for people who cannot see them. Describe this picture in one
sentence. What is in the picture? A red circle to the left of two blue squares. Answer in German.
system user model assistant a photo of"""
ENDS_EVERY = 23
"""One id in so many ends a caption."""

INTERN_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif content['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA_TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set first = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set first = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}
    {%- for item in message['content'] -%}
        {%- if item['type'] == 'image' -%}
            {{ '<start_of_image>' }}
        {%- elif item['type'] == 'text' -%}
            {{ item['text'] | trim }}
        {%- endif -%}
    {%- endfor -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\n' }}
{%- endif -%}
"""


def blip2(folder: Path) -> Path:
    """As Salesforce/blip2-opt-2.7b: a vision tower, a Q-Former, and OPT that completes a text."""
    vocabulary, merges = _byte_pairs(["<unk>", "<pad>", "</s>"])
    tokenizer = GPT2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        unk_token="</s>",
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        add_bos_token=True,
        padding_side="left",
    )
    processor: Any = Blip2Processor(BlipImageProcessorPil(size=_square(32)), tokenizer, 4)
    shared = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Blip2Config(
        vision_config=shared | {"image_size": 32, "patch_size": 8, "intermediate_size": 64},
        qformer_config=shared | {"intermediate_size": 64, "vocab_size": len(tokenizer)},
        text_config=shared
        | {
            "model_type": "opt",
            "ffn_dim": 64,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 256,
            "bos_token_id": 2,
            "pad_token_id": 1,
            "eos_token_id": _ends(vocabulary["Ċ"], tokenizer),
        },
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return _save(folder, Blip2ForConditionalGeneration, config, processor)


def intern_vlm(folder: Path) -> Path:
    """As OpenGVLab/InternVL3-1B-hf: InternViT with pixel shuffle, and Qwen2."""
    vocabulary, merges = _byte_pairs(["<|endoftext|>"])
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=named,
        padding_side="left",
    )
    tokenizer.add_tokens(["<|im_start|>"], special_tokens=True)
    config = InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": [32, 32],
            "patch_size": [8, 8],
        },
        text_config=_text("qwen2", tokenizer, end="<|im_end|>", pad="<|endoftext|>"),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    images = GotOcr2ImageProcessorPil(size=_square(32), crop_to_patches=False)
    _save(folder, InternVLForConditionalGeneration, config, tokenizer, images)
    (folder / "chat_template.jinja").write_text(INTERN_TEMPLATE)
    # Its processor cannot be made without torchvision, so what it would write is written here.
    about = {"processor_class": "InternVLProcessor", "image_seq_length": 4}
    (folder / "processor_config.json").write_text(json.dumps(about))
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
    preprocessor |= {"image_processor_type": "GotOcr2ImageProcessorFast"}
    preprocessor |= {"processor_class": "InternVLProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    video = preprocessor | {"video_processor_type": "InternVLVideoProcessor"}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video))
    return folder


def gemma(folder: Path) -> Path:
    """As google/gemma-3-4b-it: SigLIP, and a text model that looks back through windows."""
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *sorted({"▁", *TEXT})]
    tokenizer = GemmaTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        extra_special_tokens={
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
    )
    tokenizer.add_tokens(["<start_of_turn>", "<end_of_turn>"], special_tokens=True)
    tokenizer.add_tokens(["\n\n", "\n\n\n", "\n\n\n\n"])  # tokens of their own, but not special
    processor: Any = Gemma3Processor(
        Gemma3ImageProcessorPil(size=_square(64)), tokenizer, GEMMA_TEMPLATE, image_seq_length=16
    )
    text = _text("gemma3_text", tokenizer, end="<end_of_turn>", pad="<pad>")
    config = Gemma3Config(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": 64,
            "patch_size": 8,
        },
        text_config=text
        | {
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
            "sliding_window": 24,  # shorter than a prompt, so that it matters
        },
        mm_tokens_per_image=16,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
        image_token_index=tokenizer.image_token_id,
    )
    return _save(folder, Gemma3ForConditionalGeneration, config, processor)


MAKERS: dict[str, Callable[[Path], Path]] = {
    "blip2": blip2,
    "intern_vlm": intern_vlm,
    "gemma": gemma,
}
"""Kind of engine to what writes its stand-in into a new folder."""


def _text(kind: str, tokenizer: Any, *, end: str, pad: str) -> dict[str, Any]:
    return {
        "model_type": kind,
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 64,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": _ends(tokenizer.convert_tokens_to_ids(end), tokenizer),
        "pad_token_id": tokenizer.convert_tokens_to_ids(pad),
    }


def _ends(end: int, tokenizer: Any) -> list[int]:
    return [end, *range(7, len(tokenizer), ENDS_EVERY)]


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _byte_pairs(specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    made = json.loads(tokenizer.to_str())["model"]
    return made["vocab"], [tuple(pair) for pair in made["merges"]]


def _save(folder: Path, architecture: Any, config: Any, *readers: Any) -> Path:
    """Noise that is loud enough for the picture and the question to change the answer."""
    disable_progress_bar()
    torch.manual_seed(1)
    network = architecture(config)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                looks = "patch_embedding" in name or "mm_input" in name
                weight.normal_(0, 1 if looks else 0.25)
            elif "q_norm" in name or "k_norm" in name:  # Gemma's: else it looks nowhere for long,
                weight.fill_(2)
            elif "post_" in name:  # and its tied embeddings repeat the last token
                weight.fill_(3)
    text = config.text_config
    network.generation_config.eos_token_id = text.eos_token_id
    network.generation_config.pad_token_id = text.pad_token_id
    # As the hub's own folders have it: sampling is what they do when nothing is said.
    network.generation_config.update(do_sample=True, top_k=64, top_p=0.95)
    network.save_pretrained(folder)
    for reader in readers:
        reader.save_pretrained(folder)
    return folder
