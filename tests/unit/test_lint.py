"""The lint finds what is wrong with a caption, and nothing where nothing is."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.options import Fault, Length, Options
from scripts.scenes import BACKGROUNDS, COLOURS, COUNTS, RELATIONS
from scripts.shapes import SHAPES
from worker.lint import CHARS, Judge, loop

LENGTHS = (None, Length.SHORT, Length.MEDIUM, Length.ALT_TEXT)


def faults(text: str, *, chats: bool = False, **options) -> list[Fault]:
    return Judge(Options(**options), chats=chats).faults(text)


def every_scene() -> list[str]:
    """Every caption that the grammar of `scripts.scenes` has."""
    names = [f"a {c} {s}" for c, s in product(COLOURS, SHAPES)]
    names = [name.replace("a orange", "an orange") for name in names]
    several = [f"{n} {c} {s}s" for n, c, s in product(COUNTS.values(), COLOURS, SHAPES)]
    pairs = [n for n in several if n.startswith("two")]
    said = [*names, *several]
    said += [f"{a} {r} {b}" for a, r, b in product([*names, *pairs], RELATIONS, names)]
    return [f"{what} on a {background} background" for what, background in product(said, BACKGROUNDS)]  # noqa: E501 # fmt: skip


def test_no_caption_that_scenes_can_say_has_a_fault() -> None:
    captions = every_scene()
    assert len(captions) > 190_000
    plain = Judge(Options(), chats=False)
    assert [caption for caption in captions if plain.faults(caption)] == []


@pytest.mark.parametrize("length", [Length.SHORT, Length.MEDIUM, Length.ALT_TEXT])
def test_nor_has_any_the_wrong_length(length: Length) -> None:
    judge = Judge(Options(length=length), chats=False)
    assert [caption for caption in every_scene()[::7] if judge.faults(caption)] == []


@pytest.mark.parametrize(
    "text",
    [
        "a man and a dog and a man and a cat",
        "one by one they come, step by step by step",
        "a very very old house in the grass by the house in the hills",
        "a bird sitting on a branch of a tree with a bird on it",
        "a picture frame on a wall", "a painting of a dog", "a photographer with a camera",
        "a close up of a cat", "a black and white photo of a man", "there is a dog on the sofa",
        "Ein Hund, der im Park einen Ball jagt.", "\u516c\u5712\u3067\u72ac\u304c\u3002",
    ],
)  # fmt: skip
def test_captions_as_they_should_be_have_no_fault(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("a dog dog dog dog", 1),
        ("a red and red and red and", 2),
        ("a dog in the grass in the grass", 3),
        ("A man sits on a bench. A man sits on a bench.", 6),
        ("on the left side of it a. on the left side of it b. on the left side of it c", 5),
        ("\u72d7\u72d7\u72d7\u72d7\u72d7\u72d7\u72d7\u72d7", 1),
    ],
)
def test_a_loop_is_found_with_its_size(text: str, size: int) -> None:
    assert loop(text) == size
    assert faults(text)[0] is Fault.REPETITION


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("abcdefgh", min_size=2, max_size=6), min_size=3, max_size=8),
    st.lists(st.text("klmnop", min_size=2, max_size=6), max_size=5),
)
def test_whatever_is_said_twice_in_a_row_is_a_loop(phrase: list[str], before: list[str]) -> None:
    assert loop(" ".join([*before, *phrase, *phrase]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcdefgh", min_size=2, max_size=5), unique=True, max_size=40))
def test_words_that_are_all_different_are_no_loop(said: list[str]) -> None:
    assert loop(" ".join(word[:5] for word in said if len(set(word)) > 1)) == 0


@pytest.mark.parametrize(
    "text", ["a picture of a dog", "There is a photo of a dog.", "The image shows a dog."]
)
def test_a_stock_opening_is_a_fault(text: str) -> None:
    assert faults(text) == [Fault.STOCK_OPENING]
    assert faults(text, chats=True, prompt="What is it?") == [Fault.STOCK_OPENING]


def test_a_prompt_may_be_one() -> None:
    assert faults("a picture of a dog", prompt="a picture of") == []
    assert faults("a picture of a picture of a dog", prompt="a picture of") == []


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_said_is_a_fault(text: str) -> None:
    assert faults(text) == [Fault.EMPTY]
    assert faults(f"a photo of{text}", prompt="a photo of") == [Fault.EMPTY]


@pytest.mark.parametrize("length", list(Length))
def test_a_caption_is_measured_by_the_length_that_was_asked_for(length: Length) -> None:
    shortest, longest = CHARS[length]
    fits = " ".join(f"word{n}" for n in range(longest))
    assert faults(fits[:longest].strip(), length=length) == []
    assert faults(fits[: longest + 3] + "x", length=length) == [Fault.TOO_LONG]
    if shortest > 1:
        assert faults(fits[: shortest - 2], length=length) == [Fault.TOO_SHORT]


def test_what_a_request_has_set_itself_is_no_fault() -> None:
    assert faults("dog dog dog dog", min_new_tokens=4) == []
    assert faults("a dog", length=Length.LONG, max_new_tokens=2) == []
    assert faults("word " * 40, length=Length.SHORT, min_new_tokens=40) == []


def test_the_better_caption_says_less_twice() -> None:
    judge = Judge(Options(), chats=False)
    texts = ["", "a dog dog dog dog dog", "a dog dog dog on sand", "a picture of a dog", "a dog"]
    assert sorted(texts, key=judge.badness, reverse=True) == texts
