"""Claims about the drawn scenes, the checkpoint that ships with the project, and its examples."""

from __future__ import annotations

import json
import random
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from scripts import draw_examples, scenes
from scripts.scenes import BACKGROUNDS, COLOURS, VOCABULARY, Scene, Thing, describe, draw, sample
from scripts.shapes import SHAPES

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "captioner" / "checkpoints" / "scenes"
EXAMPLES = ROOT / "examples"
FRAMES = [(120, 160), (160, 160), (160, 120)]


def some(count: int) -> list[Scene]:
    return list(islice(scenes.stream("unit tests"), count))


def nearest(pixel: tuple[int, int, int], names: dict[str, tuple[int, int, int]]) -> str:
    def apart(name: str) -> int:
        return sum(abs(a - b) for a, b in zip(pixel, names[name], strict=True))

    return min(names, key=apart)


def pixel(image: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    found = image.getpixel((round(x * image.width), round(y * image.height)))
    assert isinstance(found, tuple)
    return int(found[0]), int(found[1]), int(found[2])


def test_the_same_seed_draws_the_same_scene() -> None:
    first, second = sample(random.Random(7)), sample(random.Random(7))
    assert first == second
    assert draw(first, width=90, height=80).tobytes() == draw(second, width=90, height=80).tobytes()


def test_streams_of_other_names_are_other_scenes() -> None:
    assert not set(some(500)) & set(islice(scenes.stream("other"), 500))


def test_every_word_of_every_caption_is_in_the_vocabulary() -> None:
    used = {word for scene in some(3000) for word in scene.caption.split()}
    assert used <= set(VOCABULARY)
    prompts = {word for prompt in scenes.PROMPTS for word in prompt.split()}
    assert set(VOCABULARY) == used | prompts


def test_no_word_is_in_the_vocabulary_twice() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)


def test_a_caption_is_read_off_the_things() -> None:
    for scene in some(500):
        assert scene.caption == describe(scene.background, scene.things)


def test_no_thing_leaves_the_frame_or_touches_another() -> None:
    for scene in some(1000):
        for number, thing in enumerate(scene.things):
            half = thing.size / 2
            assert half < thing.x < 1 - half
            assert half < thing.y < 1 - half
            for other in scene.things[:number]:
                reach = half + other.size / 2
                assert max(abs(thing.x - other.x), abs(thing.y - other.y)) > reach


def test_the_larger_of_two_unlike_things_is_clearly_larger() -> None:
    for scene in some(1000):
        if len(scene.things) == 2 and not scene.caption.startswith("two"):
            small, large = sorted(thing.size for thing in scene.things)
            assert large > 1.5 * small


def test_a_relation_is_wide_along_its_axis_and_narrow_across() -> None:
    axes = {"left": "x", "right": "x", "above": "y", "below": "y"}
    for scene in some(1000):
        axis = next((axes[word] for word in scene.caption.split() if word in axes), None)
        if axis is None:
            continue
        kinds = {(thing.shape, thing.colour) for thing in scene.things}
        groups = [[t for t in scene.things if (t.shape, t.colour) == kind] for kind in kinds]
        along, across = (_apart(groups, name) for name in (axis, "y" if axis == "x" else "x"))
        assert along > 0 > across


def _apart(groups: list[list[Thing]], axis: str) -> float:
    """The gap between the two groups' extents along an axis; below zero where they overlap."""
    ends = [
        (
            min(getattr(thing, axis) - thing.size / 2 for thing in group),
            max(getattr(thing, axis) + thing.size / 2 for thing in group),
        )
        for group in groups
    ]
    return max(ends[0][0], ends[1][0]) - min(ends[0][1], ends[1][1])


@pytest.mark.parametrize(("width", "height"), FRAMES)
def test_what_the_caption_names_is_in_the_picture(width: int, height: int) -> None:
    for scene in some(100):
        image = draw(scene, width=width, height=height)
        assert image.size == (width, height)
        assert nearest(pixel(image, 0.005, 0.005), BACKGROUNDS) == scene.background
        for thing in scene.things:
            if thing.shape in {"circle", "square", "triangle", "star", "heart", "sun", "tree"}:
                assert nearest(pixel(image, thing.x, thing.y - thing.size / 8), COLOURS) == (
                    thing.colour
                )


@pytest.mark.parametrize("shape", SHAPES)
def test_every_part_of_a_shape_stays_in_its_box(shape: str) -> None:
    for part in SHAPES[shape]:
        assert all(-1e-9 <= x <= 1 + 1e-9 and -1e-9 <= y <= 1 + 1e-9 for x, y in part.points)


def test_only_captions_with_a_relation_are_left_out_of_training() -> None:
    left_out = [s.caption for s in some(3000) if scenes.held_out_caption(s.caption)]
    assert 50 < len(left_out) < 150
    assert all(len(caption.split()) > 7 for caption in left_out)


def test_the_examples_are_what_the_script_draws(tmp_path: Path) -> None:
    draw_examples.write(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {path.name for path in EXAMPLES.iterdir()} - {"README.md"}
    for name in names - {"captions.json"}:
        fresh, kept = (upright(folder / name).resize((32, 32)) for folder in (tmp_path, EXAMPLES))
        pairs = zip(fresh.tobytes(), kept.tobytes(), strict=True)
        assert max(abs(a - b) for a, b in pairs) < 24
    assert (tmp_path / "captions.json").read_text() == (EXAMPLES / "captions.json").read_text()


def upright(path: Path) -> Image.Image:
    """The picture as it is meant: turned as EXIF says, transparent pixels on white."""
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("RGB")


def test_the_checkpoint_is_small() -> None:
    assert sum(path.stat().st_size for path in CHECKPOINT.iterdir()) <= 8_000_000


@pytest.fixture(scope="module")
def folder() -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return CHECKPOINT


def test_the_checkpoint_names_held_out_scenes(folder: Path) -> None:
    from scripts import scene_checkpoint

    score = scene_checkpoint.score(folder, 200)
    assert score.right >= 0.97 * score.scenes


def test_the_checkpoint_names_every_example(folder: Path) -> None:
    from scripts import scene_checkpoint

    expected = json.loads((EXAMPLES / "captions.json").read_text())
    images = [upright(EXAMPLES / name) for name in expected]
    found = scene_checkpoint.captions(*scene_checkpoint.load(folder), images)
    assert dict(zip(expected, found, strict=True)) == expected


def test_a_turned_example_is_named_wrong_as_it_is_stored(folder: Path) -> None:
    from scripts import scene_checkpoint

    expected = json.loads((EXAMPLES / "captions.json").read_text())
    names = ["green-house-turned.jpg", "orange-sun-upside-down.jpg"]
    images = [Image.open(EXAMPLES / name).convert("RGB") for name in names]
    found = scene_checkpoint.captions(*scene_checkpoint.load(folder), images)
    assert all(caption != expected[name] for name, caption in zip(names, found, strict=True))


def test_a_batch_is_captioned_as_one_by_one(folder: Path) -> None:
    from scripts import scene_checkpoint

    read, model = scene_checkpoint.load(folder)
    _, images = scene_checkpoint.held_out_pictures(12)
    together = scene_checkpoint.captions(read, model, images)
    assert together == scene_checkpoint.captions(read, model, images, batch=1)


def test_a_prompt_is_continued(folder: Path) -> None:
    from scripts import scene_checkpoint

    read, model = scene_checkpoint.load(folder)
    image = upright(EXAMPLES / "red-star.png")
    for prompt in ("a red", "a picture of"):
        inputs = read(images=image, text=prompt, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=20)
        caption = read.decode(tokens[0], skip_special_tokens=True)
        rest = prompt.removesuffix("a red").strip()
        assert caption == f"{rest} a red star on a white background".strip()


def test_the_training_pixels_are_the_processors(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    from scripts import scene_checkpoint, scene_student
    from scripts.scene_batches import squashed

    read, _ = scene_checkpoint.load(folder)
    _, images = scene_checkpoint.held_out_pictures(8)
    theirs = read(images=images, return_tensors="pt").pixel_values
    ours = torch.stack([torch.tensor(squashed(image, theirs.shape[-1])) for image in images])
    assert (theirs - scene_student.normalised(ours)).abs().max() < 0.02
