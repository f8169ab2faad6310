"""What comes out of the service is what the network says: the right caption, at the right place."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import httpx
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipProcessor

from captioner.catalog import SCENES_FOLDER
from captioner.images import ImageLimits, decode, fit
from captioner.settings import Settings
from scripts.scenes import draw
from tests import processes
from tests.pictures import b64, encoded, scenes
from tests.processes import until
from worker.engines import blip_reference
from worker.engines.device import Placement

CPU = Placement(torch.device("cpu"), torch.float32, "a test")
KINDS = (("PNG", {}), ("JPEG", {"quality": 90}), ("WEBP", {"quality": 90}), ("BMP", {}))
FINAL = ("succeeded", "partial", "failed")


def cut(items: Sequence, sizes: Sequence[int]) -> list[list]:
    parts, start = [], 0
    for size in sizes:
        parts.append(list(items[start : start + size]))
        start += size
    return [part for part in parts if part]


def as_json(http: httpx.Client, pictures: list[bytes]) -> httpx.Response:
    return http.post("/captionImage", json={"imgb64s": [b64(data) for data in pictures]})


def as_form(http: httpx.Client, pictures: list[bytes]) -> httpx.Response:
    return http.post(
        "/captionImage", files=[("images", (f"{n}", data)) for n, data in enumerate(pictures)]
    )


def captions(http: httpx.Client, response: httpx.Response) -> list[str | None]:
    assert response.status_code == 202, response.text
    url = response.headers["Location"]
    until(lambda: http.get(url).json()["status"] in FINAL, what=f"end of {url}", timeout_s=300)
    return http.get(url).json()["result"]


def offline(pictures: list[bytes]) -> list[str]:
    """The engine's own answers, a few pictures at a time, without the service."""
    engine = blip_reference.load(
        str(SCENES_FOLDER), revision="main", placement=CPU, max_new_tokens=20
    )
    limits = ImageLimits.from_settings(Settings())
    pixels = [fit(decode(data, limits), engine.image_size) for data in pictures]
    batches = cut(pixels, [8] * ceil(len(pixels) / 8))
    return [caption.text for batch in batches for caption in engine.caption(batch)]


def test_a_thousand_pictures_in_mixed_shapes_are_each_answered_in_their_place(service) -> None:
    rng = random.Random(64)
    drawn = scenes(1000, seed=6)
    pictures = []
    for scene in drawn:
        kind, options = rng.choice(KINDS)
        width, height = rng.randint(160, 480), rng.randint(160, 480)
        width, height = max(width, height * 3 // 4), max(height, width * 3 // 4)
        pictures.append(encoded(draw(scene, width=width, height=height), kind, **options))
    sizes = [rng.randint(1, 64) for _ in range(1000)]
    jobs = cut(pictures, sizes)

    def run(numbered: tuple[int, list[bytes]]) -> list[str | None]:
        number, job = numbered
        with httpx.Client(base_url=service, timeout=300) as http:
            return captions(http, (as_json if number % 2 else as_form)(http, job))

    with ThreadPoolExecutor(8) as pool:
        answered = [caption for job in pool.map(run, enumerate(jobs)) for caption in job]
    expected = offline(pictures)
    truth = [scene.caption for scene in drawn]
    rate = sum(a == b for a, b in zip(answered, truth, strict=True)) / 1000
    own = sum(a == b for a, b in zip(expected, truth, strict=True)) / 1000
    print(f"\n1,000 pictures in {len(jobs)} jobs: {rate:.1%} exact; the engine alone: {own:.1%}")
    assert answered == expected
    assert rate == own
    assert rate >= 0.97


def test_the_service_says_what_transformers_says(service) -> None:
    """200 pictures in jobs of every size from 1 to 16; a caption's words are its tokens."""
    drawn = [draw(scene, width=320, height=240) for scene in scenes(200, seed=7)]
    network = BlipForConditionalGeneration.from_pretrained(SCENES_FOLDER, dtype=torch.float32)
    processor = BlipProcessor.from_pretrained(SCENES_FOLDER)

    def reference(picture: Image.Image) -> str:
        inputs = processor(images=picture, return_tensors="pt")
        with torch.inference_mode():
            tokens = network.eval().generate(**inputs, max_new_tokens=20)[0]
        return str(processor.decode(tokens, skip_special_tokens=True))

    expected = [reference(picture) for picture in drawn]
    jobs = cut([encoded(picture) for picture in drawn], [*range(1, 17), 16, 16, 16, 16])
    with httpx.Client(base_url=service, timeout=300) as http:
        posted = [as_form(http, job) for job in jobs]
        answered = [caption for response in posted for caption in captions(http, response)]
    assert answered == expected


def test_the_default_number_format_answers_as_well(stack, tmp_path) -> None:
    drawn = scenes(200, seed=8)
    pictures = [encoded(draw(scene, width=320, height=240)) for scene in drawn]
    environment = {**stack.environment, "CAPTIONER_DTYPE": "auto"}
    with (
        processes.service(environment, tmp_path) as base,
        httpx.Client(base_url=base, timeout=300) as http,
    ):
        answered = captions(http, as_form(http, pictures))
    truth = [scene.caption for scene in drawn]
    right, own = (sum(map(str.__eq__, truth, said)) for said in (answered, offline(pictures)))
    assert right >= own - 0.005 * len(drawn)
