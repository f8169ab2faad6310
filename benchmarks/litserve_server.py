"""`python -m benchmarks.litserve_server ENGINE FOLDER PORT BATCH TIMEOUT_S`: BLIP on LitServe.

As its documentation has it: `decode_request`, a `predict` of a list, `max_batch_size` and
`batch_timeout`; pictures come as base64 in JSON. ENGINE is `generate`, transformers' own, or
`ours`, the engine of our workers.
"""

import base64
import sys
from io import BytesIO
from typing import Any

import litserve
import torch
from PIL import Image
from transformers import AutoTokenizer, BlipForConditionalGeneration, BlipImageProcessorPil

from captioner.images import fit
from captioner.settings import Settings
from worker.engines import blip, loading
from worker.engines.device import place

TOKENS = Settings().max_new_tokens


class Generate:
    """Processor and `generate`, in float32."""

    def __init__(self, folder: str) -> None:
        self._processor = BlipImageProcessorPil.from_pretrained(folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = BlipForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self._model.eval()

    @torch.inference_mode()
    def __call__(self, pictures: list[Image.Image]) -> list[str]:
        """Their captions."""
        values = self._processor(pictures, return_tensors="pt").pixel_values
        tokens = self._model.generate(pixel_values=values, max_new_tokens=TOKENS)
        return [text.strip() for text in self._tokenizer.batch_decode(tokens, **PLAIN)]


class Ours:
    """The engine that our workers run, placed by the same settings."""

    def __init__(self, folder: str) -> None:
        placement = place(Settings())
        self._engine = blip.load(
            folder, revision="main", placement=placement, max_new_tokens=TOKENS
        )
        loading.warm_up(self._engine)

    def __call__(self, pictures: list[Image.Image]) -> list[str]:
        """Their captions."""
        pixels = [fit(one, self._engine.image_size, self._engine.resampling) for one in pictures]
        return [made.text for made in self._engine.caption(pixels) if made]


PLAIN = {"skip_special_tokens": True}
ENGINES = {"generate": Generate, "ours": Ours}


class Api(litserve.LitAPI):  # type: ignore[misc]
    """One picture in, one caption out."""

    def __init__(self, engine: str, folder: str, **more: Any) -> None:
        super().__init__(**more)
        self._engine, self._folder = engine, folder

    def setup(self, device: str) -> None:
        """Load the weights."""
        del device
        self._caption = ENGINES[self._engine](self._folder)

    def decode_request(self, request: dict[str, str]) -> Image.Image:
        """The picture in {"image": base64}."""
        data = BytesIO(base64.b64decode(request["image"]))
        return Image.open(data).convert("RGB")

    def predict(self, x: list[Image.Image]) -> list[str]:
        """Captions of a batch."""
        return self._caption(x)

    def encode_response(self, output: str) -> dict[str, str]:
        """One caption."""
        return {"caption": output}


def main() -> None:
    """Serve until told to end."""
    engine, folder, port, batch, timeout_s = sys.argv[1:]
    api = Api(engine, folder, max_batch_size=int(batch), batch_timeout=float(timeout_s))
    server = litserve.LitServer(api, accelerator="cpu", devices=1, timeout=300)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
