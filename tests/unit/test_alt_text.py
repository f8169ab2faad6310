"""Alt text keeps its rules, whatever a model says."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.pictures import scenes
from worker.alt_text import MAX_CHARS, alt_text
from worker.endings import STOPS
from worker.openings import has_opening

STOCK = re.compile(
    r"(there (is|are) )?(an? |the |this )?(image|picture|photo|photograph)s? (of|shows|depicts)\b",
    re.IGNORECASE,
)
WORDS = st.sampled_from([
    "a", "an", "the", "this", "there", "is", "image", "picture", "photo", "of", "shows", "dog",
    "red,", "house.", "\u516c\u5712", "\u00df", "in", "we", "see", ":", "supercalifragilistic",
    "Stop!", "\u3002", "\u2026", "-", "42", "'quoted'", "(so)",
])  # fmt: skip
SPEECH = st.lists(WORDS, max_size=60).map(" ".join)


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), SPEECH, st.text(alphabet="ab .,\u3002", max_size=300)))
@example("a picture of")
@example("There is a photo of an image of a picture of a dog")
@example("x" * 1000)
@example("\u0131n a picture, we see a dog")
@example("'a photo of a dog'")
@example("a " * 200)
def test_every_text_becomes_alt_text_or_nothing(text: str) -> None:
    made = alt_text(text)
    assert alt_text(made) == made
    if not made:
        assert not any(character.isalnum() for character in text) or has_opening(
            text.lstrip("'(.,:-! \u2026\u3002")
        )
        return
    assert len(made) <= MAX_CHARS
    assert made[-1] in STOPS
    assert made[0].upper() == made[0]
    assert not made[0].isspace()
    assert not STOCK.match(made)
    assert not has_opening(made)
    assert "\n" not in made


@settings(max_examples=300, deadline=None)
@given(SPEECH)
def test_every_word_of_alt_text_was_said(text: str) -> None:
    said = re.findall(r"\w+", text.lower())
    for word in re.findall(r"\w+", alt_text(text).lower()):
        assert any(word in each or each.startswith(word) for each in [*said, "ss"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog on a beach", "A dog on a beach."),
        ("A dog on a beach.", "A dog on a beach."),
        ("there is a photo of a dog", "A dog."),
        ("image of a dog", "A dog."),
        ("The image shows a dog!", "A dog."),
        ("This is a picture of two cats", "Two cats."),
        ("In this image, we can see a dog", "A dog."),
        ("in the picture frame is a dog", "In the picture frame is a dog."),
        ("a picture", "A picture."),
        ("a black and white photo of a man", "A black and white photo of a man."),
        ("  a\ndog \t runs ", "A dog runs."),
        ("ein Hund am Strand", "Ein Hund am Strand."),
        ("\u516c\u5712\u306b\u72ac", "\u516c\u5712\u306b\u72ac\u3002"),
        ("What is it? A dog", "What is it? A dog."),
        ("a picture of", ""),
        ("...", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_becomes_of_a_caption(text: str, expected: str) -> None:
    assert alt_text(text) == expected


def test_a_text_of_several_sentences_is_cut_between_them() -> None:
    text = "A woman walks her dog past a bakery on a rainy evening. " + "More is said of it. " * 9
    made = alt_text(text)
    assert made.startswith("A woman walks her dog past a bakery on a rainy evening. More")
    assert made.endswith("said of it.")


def test_a_long_sentence_is_cut_between_words_and_not_after_a_small_one() -> None:
    text = "a man in a yellow coat and a woman in a green hat with their very small, old dog " * 2
    made = alt_text(text)
    assert 100 < len(made) <= MAX_CHARS
    cut = made.removesuffix(".")
    assert text.startswith(cut[0].lower() + cut[1:] + " ")
    assert cut.split()[-1] not in ("a", "and", "in", "with", "their")


def test_captions_of_scenes_lose_no_word() -> None:
    for scene in scenes(500, seed=41):
        caption = scene.caption
        assert alt_text(caption) == caption[0].upper() + caption[1:] + "."
