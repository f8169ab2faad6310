"""What reusing the system prompt, or a static cache, would save for chat models on a processor.

Layers of InternVL3-1B's shapes, an eighth of them, with seeded weights: each stage's share of a
caption is as in the whole network, but for the head, whose vocabulary is smaller. The system prompt
is the same in every chat, so its keys and values could be kept; here that is done by hand, checked
against the whole, and timed beside it.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, InternVLConfig, InternVLForConditionalGeneration

from benchmarks.report import heading, keep
from captioner.options import Options
from worker.engines.prompts import Prompt, prompt_for

ROUNDS, ANSWER, LAYERS = 3, 16, 3
BATCHES = (1, 4)
IMAGE = 256
"""Tokens of a picture: 448 x 448 in patches of 14, four made one."""
MARKS = 6
"""Tokens of the template around each text, about."""


def tokens_of(text: str) -> int:
    """Words and marks of an English text: about what a large vocabulary makes of it."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def network() -> Any:
    """Some of InternVL3-1B's layers, with seeded weights."""
    torch.manual_seed(0)
    config = InternVLConfig(
        vision_config={
            "hidden_size": 1024,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "image_size": [448, 448],
            "patch_size": [14, 14],
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": 32_000,
            "hidden_size": 896,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": 0,
        },
        image_seq_length=IMAGE,
        image_token_id=5,
    )
    return InternVLForConditionalGeneration(config).eval()


class Chat:
    """One batch: pictures that are looked at, and a chat that is read and answered."""

    def __init__(self, model: Any, prompt: Prompt, batch: int) -> None:
        self._model, self._batch = model, batch
        self._text = model.model.language_model
        self.prefix = tokens_of(prompt.system) + MARKS
        self.rest = IMAGE + tokens_of(prompt.user) + MARKS
        width = model.config.text_config.hidden_size
        self._pixels = torch.randn(batch, 3, 448, 448)
        system = torch.randn(1, self.prefix, width).expand(batch, -1, -1)
        self._whole = torch.cat([system, torch.randn(batch, self.rest, width)], dim=1)
        self._kept = self._text(inputs_embeds=system[:1], use_cache=True).past_key_values
        self._ids = torch.randint(6, 32_000, (batch, self.prefix + self.rest))

    def look(self) -> torch.Tensor:
        """The vision tower, and what brings its patches to the text model."""
        return self._model.model.get_image_features(self._pixels, return_dict=True).pooler_output

    def read(self) -> torch.Tensor:
        """The whole chat. Returns (B, width): what the first token is chosen from."""
        return self._text(inputs_embeds=self._whole, use_cache=True).last_hidden_state[:, -1]

    def read_on(self) -> torch.Tensor:
        """As `read`, after a system prompt whose keys and values were kept."""
        layers = [(layer.keys, layer.values) for layer in self._kept.layers]
        cache = DynamicCache(layers)
        cache.batch_repeat_interleave(self._batch)
        made = self._text(
            inputs_embeds=self._whole[:, self.prefix :], past_key_values=cache, use_cache=True
        )
        return made.last_hidden_state[:, -1]

    def answer(self, cache: str | None) -> Callable[[], object]:
        """The chat read and answered by `generate`, without its picture, with a kind of cache."""
        return lambda: self._model.generate(
            input_ids=self._ids,
            attention_mask=torch.ones_like(self._ids),
            max_new_tokens=ANSWER,
            min_new_tokens=ANSWER,
            do_sample=False,
            cache_implementation=cache,
            disable_compile=True,
        )


def in_turns(stages: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Least seconds of the processor that each takes, in turns; others' work does not count."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    for run in stages.values():
        run()
    for _ in range(ROUNDS):
        for name, run in stages.items():
            started = time.process_time()
            run()
            times[name].append(time.process_time() - started)
    return {name: min(found) for name, found in times.items()}


def table(model: Any, prompt: Prompt, batch: int) -> list[str]:
    """The lines of one batch size."""
    chat = Chat(model, prompt, batch)
    furthest = (chat.read() - chat.read_on()).abs().max().item()
    if furthest > 1e-3:
        raise RuntimeError(f"reading on differs from reading the whole by {furthest}")
    found = in_turns(
        {
            "look": chat.look,
            "read": chat.read,
            "read on": chat.read_on,
            "dynamic": chat.answer(None),
            "static": chat.answer("static"),
        }
    )
    whole = found["look"] + found["dynamic"]

    def saves(before: str, after: str) -> str:
        saved = found[before] - found[after]
        return f"{saved:7.3f} s, {100 * saved / whole:.1f} % of a batch"

    return [
        f"batch {batch}: {chat.prefix} tokens of system prompt, {chat.rest} after it",
        f"  look at the pictures             {found['look']:7.3f} s",
        f"  read the chat                    {found['read']:7.3f} s",
        f"  read on from the system prompt   {found['read on']:7.3f} s",
        f"  read it and write {ANSWER} tokens     {found['dynamic']:7.3f} s",
        f"  the same with a static cache     {found['static']:7.3f} s",
        f"  kept system prompt saves         {saves('read', 'read on')}",
        f"  static cache saves               {saves('dynamic', 'static')}",
        "",
    ]


@torch.inference_mode()
def main() -> None:
    """Measure, print, keep."""
    torch.set_num_threads(1)  # threads that wait for each other would be counted as work
    model, prompt = network(), prompt_for(Options())
    settings: dict[str, object] = {
        "layers": f"{LAYERS} of 24",
        "answer": ANSWER,
        "rounds": ROUNDS,
        "threads": 1,
    }
    lines = [line for batch in BATCHES for line in table(model, prompt, batch)]
    keep(
        "chat-prefix", heading("Chat models: system prompt and cache", settings) + "\n".join(lines)
    )
