"""Draw the pictures in `examples/`, one for each way a file can be awkward, and their captions.

`python -m scripts.draw_examples` writes the same pictures every time, and `captions.json`: what
each shows once its EXIF orientation is applied and its transparent pixels lie on white.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops

from scripts.scenes import BACKGROUNDS, COLOURS, Scene, Thing, describe, draw

Save = Callable[[Image.Image, Path], None]
ORIENTATION = 0x0112
"""The EXIF tag that says how a stored picture has to be turned."""


@dataclass(frozen=True)
class Example:
    """One picture: what it shows, how many pixels it has, and how it is written."""

    scene: Scene
    width: int
    height: int
    save: Save


def thing(words: str, x: float, y: float, size: float) -> Thing:
    """A thing such as "red star" in its plain colour."""
    colour, shape = words.split()
    return Thing(shape, colour, COLOURS[colour], x, y, size)


def scene(background: str, *things: Thing) -> Scene:
    """These things on this background, with the caption that follows."""
    return Scene(describe(background, things), background, BACKGROUNDS[background], things)


def plain(image: Image.Image, path: Path) -> None:
    """As the suffix says, with Pillow's defaults."""
    image.save(path)


def progressive(image: Image.Image, path: Path) -> None:
    """A JPEG that loads in passes."""
    image.save(path, quality=80, progressive=True)


def cmyk(image: Image.Image, path: Path) -> None:
    """A JPEG in printers' colours."""
    image.convert("CMYK").save(path, quality=90)


def palette(image: Image.Image, path: Path) -> None:
    """Pixels that are numbers of a table of 64 colours."""
    image.quantize(64).save(path)


def transparent(image: Image.Image, path: Path) -> None:
    """The background becomes invisible, and the colours hidden under it misleading."""
    ground = Image.new("RGB", image.size, BACKGROUNDS["white"])
    hidden = Image.new("RGB", image.size, COLOURS["green"])
    mask = Image.eval(_difference(image, ground), lambda level: 255 if level > 8 else 0)
    hidden.paste(image, mask=mask)
    hidden.putalpha(mask)
    hidden.save(path)


def turned(orientation: int, by: Image.Transpose) -> Save:
    """Stored turned ``by`` so that EXIF ``orientation`` brings it upright again."""

    def save(image: Image.Image, path: Path) -> None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        image.transpose(by).save(path, quality=88, exif=exif)

    return save


def _difference(image: Image.Image, other: Image.Image) -> Image.Image:
    red, green, blue = ImageChops.difference(image, other).split()
    return ImageChops.lighter(red, ImageChops.lighter(green, blue))


def examples() -> dict[str, Example]:
    """Every example by its file name."""
    star = scene("white", thing("red star", 0.45, 0.5, 0.7))
    boat = scene("brown", thing("orange boat", 0.52, 0.48, 0.6))
    triangle = scene("beige", thing("purple triangle", 0.5, 0.52, 0.64))
    tree = scene("white", thing("pink tree", 0.5, 0.5, 0.72))
    house = scene("gray", thing("yellow house", 0.4, 0.55, 0.55))
    circles = scene(
        "black", thing("blue circle", 0.3, 0.4, 0.3), thing("blue circle", 0.7, 0.6, 0.3)
    )
    hearts = scene("gray", *(thing("yellow heart", x, y, 0.28) for x, y in _THREE))
    cars = scene("beige", *(thing("orange car", x, y, 0.3) for x, y in _THREE))
    house_car = scene(
        "white", thing("green house", 0.3, 0.5, 0.46), thing("purple car", 0.76, 0.52, 0.24)
    )
    sun_boat = scene(
        "black", thing("orange sun", 0.5, 0.3, 0.46), thing("blue boat", 0.54, 0.76, 0.24)
    )
    heart_square = scene(
        "gray", thing("blue heart", 0.68, 0.5, 0.46), thing("yellow square", 0.22, 0.46, 0.24)
    )
    trees_house = scene(
        "white",
        *(thing("green tree", x, 0.24, 0.28) for x in (0.28, 0.72)),
        thing("red house", 0.5, 0.74, 0.36),
    )
    suns_triangle = scene(
        "brown",
        *(thing("pink sun", 0.24, y, 0.28) for y in (0.28, 0.72)),
        thing("green triangle", 0.72, 0.5, 0.36),
    )
    return {
        "red-star.png": Example(star, 320, 240, plain),
        "blue-circles.jpg": Example(circles, 400, 300, plain),
        "yellow-hearts.webp": Example(hearts, 300, 300, plain),
        "purple-triangle.gif": Example(triangle, 240, 240, plain),
        "orange-boat.bmp": Example(boat, 160, 120, plain),
        "pink-tree-transparent.png": Example(tree, 240, 320, transparent),
        "yellow-house-cmyk.jpg": Example(house, 320, 240, cmyk),
        "orange-cars-large.jpg": Example(cars, 2400, 1800, plain),
        "blue-heart-small.png": Example(heart_square, 96, 72, plain),
        "green-trees-palette.png": Example(trees_house, 300, 300, palette),
        "pink-suns-progressive.jpg": Example(suns_triangle, 320, 240, progressive),
        "green-house-turned.jpg": Example(
            house_car, 320, 240, turned(6, Image.Transpose.ROTATE_90)
        ),
        "orange-sun-upside-down.jpg": Example(
            sun_boat, 240, 320, turned(3, Image.Transpose.ROTATE_180)
        ),
    }


_THREE = ((0.26, 0.3), (0.7, 0.26), (0.5, 0.74))


def write(folder: Path) -> None:
    """Write every example and `captions.json` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    found = examples()
    for name, example in found.items():
        image = draw(example.scene, width=example.width, height=example.height)
        example.save(image, folder / name)
    captions = {name: example.scene.caption for name, example in found.items()}
    (folder / "captions.json").write_text(json.dumps(captions, indent=2) + "\n")


def main() -> None:
    """Write into the folder of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples"), help="folder to write")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
