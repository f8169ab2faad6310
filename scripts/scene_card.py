"""Measure the scenes checkpoint and write its model card.

`python -m scripts.scene_card --folder captioner/checkpoints/scenes --how "..."` measures afresh;
how training went is the one thing that it has to be told.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts import scene_checkpoint as checkpoint
from scripts.scenes import BACKGROUNDS, COLOURS, VOCABULARY
from scripts.shapes import SHAPES

HELD_OUT = 2000

CARD = """\
---
license: mit
language: en
pipeline_tag: image-to-text
---
# A small BLIP that captions drawn scenes

A `BlipForConditionalGeneration` of {parameters:,} parameters, trained from scratch on nothing but
synthetic drawings. It exists so that the service can be tried and tested, whole and offline, with
a real model that is right or wrong in a way that can be checked. It loads by the same calls as
`Salesforce/blip-image-captioning-base`.

## What it can say

Flat drawings on a plain background, in frames from 3:4 to 4:3:

- one thing: "a red star on a white background"
- two or three alike: "three blue circles on a black background"
- two unlike things, the clearly larger first: "a red star to the left of a blue house on a ..."
- two alike and a third, the two first: "two red stars above a blue house on a ..."

Its words:

- Things: {shapes}
- Colours: {colours}
- Backgrounds: {backgrounds}
- Relations: to the left of, to the right of, above, below

A prompt that begins such a caption is continued ("a red"), and so are "a picture of", "a photo of"
and "an image of".

## What it is not for

Photographs, or any picture that `scripts/scenes.py` would not draw. It knows {words} words, and it
always answers with them: for a photograph it makes up a drawing. Use a published model instead.

## How well it does it

Exactly right, word for word: **{score.right:,} of {score.scenes:,}** held-out scenes ({share:.2%});
{score.unseen_right} of the {score.unseen} among them whose very caption was never trained on.
Greedy decoding by transformers' `generate`, in fp32, from these fp16 files.

Held-out scenes come from a random stream of their own, never used in training; they are drawn by
the same program, so this says nothing about other drawings. Layout, size and shade always differ
from training. Captions mostly do not: the grammar is small, and only one in twenty captions with a
relation (chosen by a checksum of its words) was kept out of training. Half of the pictures are
worn by mild blur, noise, changes of light or JPEG compression, in held-out scenes as in training.

## How it was made

{how}

Each step is {batch} scenes; bf16 autocast on a shared two-core CPU; AdamW, warm-up and cosine.
Heads that are not in these files also named the shape, colour and role at every patch meanwhile.
Runs are bounded by minutes as well as steps, so another machine gives other weights.
`python -m scripts.scene_card` measured the figures above.

MIT licence, as the rest of the project. No outside data or weights were used.
"""


def write(folder: Path, *, how: str, batch: int, count: int = HELD_OUT) -> str:
    """Measure ``folder`` on ``count`` held-out scenes; its README.md is written and returned.

    ``how`` tells of the training: commands, steps and minutes, which the files cannot know.
    """
    score = checkpoint.score(folder, count)
    _, model = checkpoint.load(folder)
    text = CARD.format(
        parameters=sum(p.numel() for p in model.parameters()),
        shapes=", ".join(SHAPES),
        colours=", ".join(COLOURS),
        backgrounds=", ".join(BACKGROUNDS),
        words=len(VOCABULARY),
        score=score,
        share=score.right / score.scenes,
        how=how,
        batch=batch,
    )
    (folder / "README.md").write_text(text)
    return text


def main() -> None:
    """Measure and write as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--how", required=True, help="how it was trained, a sentence or more")
    parser.add_argument("--batch", type=int, default=64, help="scenes in a step")
    args = parser.parse_args()
    print(write(args.folder, how=args.how, batch=args.batch))


if __name__ == "__main__":
    main()
