"""BLIP's own layers in three stages that a decoding loop wants apart, on transformers' weights.

    Vision   (B, 3, H, W) pixel values -> (B, N, D) patches
    Memory   (B, N, D) patches         -> keys and values of each layer's cross-attention
    Step     (B, T) tokens             -> (B, V) logits of the next token, and a longer past

transformers computes attention without `scaled_dot_product_attention` here, and builds masks and
caches anew for each token. In float32 the answers are the same, token by token.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Vision(nn.Module):
    """The vision tower."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.embeddings = model.embeddings
        self.layers = model.encoder.layers
        self.norm = model.post_layernorm

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, N, D)."""
        hidden = self.embeddings(pixel_values)
        for layer in self.layers:
            hidden = hidden + _attend(layer.self_attn, layer.layer_norm1(hidden))
            hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
        normed: Tensor = self.norm(hidden)
        return normed


def _attend(attention: Any, hidden: Tensor) -> Tensor:
    heads = attention.num_heads
    mixed_in = attention.qkv(hidden)  # (B, N, 3D)
    split = mixed_in.view(*hidden.shape[:-1], 3, heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = split[0], split[1], split[2]  # (B, heads, N, D / heads) each
    mixed = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    projected: Tensor = attention.projection(mixed.transpose(1, 2).flatten(2))
    return projected


class Memory(nn.Module):
    """What each layer of the text decoder remembers of a picture."""

    def __init__(self, text_decoder: Any) -> None:
        super().__init__()
        layers = [layer.crossattention.self for layer in text_decoder.bert.encoder.layer]
        self.heads = layers[0].num_attention_heads
        self.projections = nn.ModuleList(
            projection for layer in layers for projection in (layer.key, layer.value)
        )

    def forward(self, patches: Tensor) -> list[Tensor]:
        """(B, N, D) -> 2L of (B, heads, N, d): key and value of the first layer, of the next, …"""
        return list(self.each(patches))

    def each(self, patches: Tensor) -> Iterator[Tensor]:
        """The same, one after the other."""
        return (_heads(projection(patches), self.heads) for projection in self.projections)


Recall = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(B, heads, T, d) scaled queries, and a layer's key and value in memory -> (B, T, D)."""


def recall(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Cross-attention with memory as `Memory` gives it."""
    return scaled_dot_product_attention(queries, keys, values, scale=1).transpose(1, 2).flatten(2)


class Step(nn.Module):
    """The text decoder, for the tokens that are new."""

    def __init__(self, text_decoder: Any, recall: Recall = recall) -> None:
        super().__init__()
        self.recall = recall
        self.words = text_decoder.bert.embeddings.word_embeddings
        self.positions = text_decoder.bert.embeddings.position_embeddings
        self.norm = text_decoder.bert.embeddings.LayerNorm
        self.layers = text_decoder.bert.encoder.layer
        self.head = text_decoder.cls.predictions

    def forward(
        self,
        tokens: Tensor,
        past: Sequence[Tensor],
        memory: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits after the last of (B, T) new tokens, and the past with them.

        The past is 2L of (B, heads, P, d), with P 0 at the beginning.
        """
        before = past[0].shape[2]
        places = torch.arange(tokens.shape[1], device=tokens.device) + before
        # (T, P + T): no token sees those after it. Always there, also for one token that sees all:
        # OpenVINO 2026.4 reads a mask that it was not given once there are 16 keys or more.
        seen = torch.arange(before + tokens.shape[1], device=tokens.device) <= places[:, None]
        grown: list[Tensor] = []

        def longer(number: int, new: Tensor) -> Tensor:
            grown.append(torch.cat((past[number], new), dim=2))
            return grown[-1]

        return self.decode(tokens, places, seen, longer, memory), grown

    def decode(
        self,
        tokens: Tensor,
        places: Tensor,
        seen: Tensor,
        past_with: Callable[[int, Tensor], Tensor],
        memory: Sequence[Tensor],
    ) -> Tensor:
        """Logits after the last of (B, T) tokens at (T,) places, wherever the past is kept.

        `past_with` is given the number of one of its 2L tensors and the (B, heads, T, d) that are
        new in it, and answers with all (B, heads, K, d), of which (T, K) `seen` says what counts.
        """
        hidden = self.norm(self.words(tokens) + self.positions(places))
        for number, layer in enumerate(self.layers):
            own = layer.attention
            new = [_heads(p(hidden), _count(own.self)) for p in (own.self.key, own.self.value)]
            keys, values = (past_with(2 * number + n, new[n]) for n in range(2))
            hidden = _mix(own, hidden, keys, values, mask=seen)
            cross, remembered = layer.crossattention, memory[2 * number : 2 * number + 2]
            recalled = self.recall(_queries(cross.self, hidden), remembered[0], remembered[1])
            hidden = cross.output(recalled, hidden)
            hidden = layer.output(layer.intermediate(hidden), hidden)
        logits: Tensor = self.head(hidden[:, -1])
        return logits


def _mix(attention: Any, hidden: Tensor, keys: Tensor, values: Tensor, *, mask: Tensor) -> Tensor:
    queries = _queries(attention.self, hidden)
    mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=1)
    added: Tensor = attention.output(mixed.transpose(1, 2).flatten(2), hidden)
    return added


def _queries(attention: Any, hidden: Tensor) -> Tensor:
    scale = 1 / math.sqrt(attention.attention_head_size)
    return _heads(attention.query(hidden), _count(attention)) * scale


def _count(attention: Any) -> int:
    heads: int = attention.num_attention_heads
    return heads


def _heads(projected: Tensor, heads: int) -> Tensor:
    """(B, N, D) -> (B, heads, N, D / heads)."""
    split: Tensor = projected.view(*projected.shape[:-1], heads, -1)
    return split.transpose(1, 2)
