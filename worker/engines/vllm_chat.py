"""What a vLLM server is asked for a caption, and how its answer is read. No network here.

vLLM documents the form as "OpenAI-Compatible Server": the chat completions of OpenAI's API, and
`min_tokens` and `top_k` besides.
"""

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from captioner.errors import CaptionFailed
from captioner.images import png
from captioner.options import Options
from worker.engines.prompts import prompt_for
from worker.engines.protocol import Caption, Pixels, ranked

ONE = 3
"""Dimensions of one picture. A collection has one more."""


def question(picture: Pixels, options: Options, *, model: str, max_new_tokens: int) -> bytes:
    """The body of a request. The picture goes along without loss; so does each of several. A
    collection of none is a question in words alone.
    """
    prompt = prompt_for(options)
    shown = [_shown(one) for one in ([picture] if picture.ndim == ONE else picture)]
    asked = {"type": "text", "text": prompt.user}
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": [*shown, asked]},
        ],
        "logprobs": True,
        **_sampling(options, max_new_tokens),
    }
    return json.dumps(body).encode()


def _shown(picture: Pixels) -> dict[str, Any]:
    """As a data URI."""
    uri = f"data:image/png;base64,{base64.b64encode(png(picture)).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": uri}}


def _sampling(options: Options, max_new_tokens: int) -> dict[str, Any]:
    shortest = options.min_new_tokens or 0
    longest = options.max_new_tokens or max(max_new_tokens, shortest)
    asked: dict[str, Any] = {
        "max_completion_tokens": longest,
        "min_tokens": min(shortest, longest),
        "temperature": options.temperature or 0,
        "n": options.captions,
    }
    if options.temperature:  # from all tokens, as our own engines draw, and not from the likeliest
        asked |= {"top_p": 1.0, "top_k": -1, "seed": options.seed}
    return asked


class _Token(BaseModel):
    logprob: float


class _LogProbs(BaseModel):
    content: list[_Token] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    logprobs: _LogProbs | None = None


class _Usage(BaseModel):
    completion_tokens: int | None = Field(None, ge=0)


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


def caption_in(answer: bytes, *, captions: int) -> Caption:
    """The caption in an answer, with as many others as were asked for.

    Raises `CaptionFailed` when it is none.
    """
    try:
        completion = _Completion.model_validate_json(answer)
    except ValidationError:  # its message has what was said
        completion = None
    if completion is None or len(completion.choices) != captions:
        raise CaptionFailed("The model's server answers with something else than captions.")
    best = ranked([_caption(choice) for choice in completion.choices])
    return replace(best, written=completion.usage.completion_tokens if completion.usage else None)


def _caption(choice: _Choice) -> Caption:
    tokens = (choice.logprobs.content if choice.logprobs else None) or []
    score = float(np.mean([token.logprob for token in tokens])) if tokens else None
    return Caption((choice.message.content or "").strip(), (), score)
