"""Tags are a caption's words of content."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import scenes
from worker.tags import MOST, OF_PICTURES, tags


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("two purple trees below a blue house on a gray background",
         ("purple", "trees", "below", "blue", "house", "gray")),
        ("a man riding a wave on top of a surfboard", ("man", "riding", "wave", "surfboard")),
        ("There is a dog that's sitting on a man's bench, isn't it?",
         ("dog", "sitting", "man", "bench")),
        ("a dog and a dog and a Dog", ("dog",)),
        ("a picture of 3 cats at 10:45", ("cats",)),
        ("caf\u00e9 in S\u00e3o Paulo", ("caf\u00e9", "s\u00e3o", "paulo")),
        ("it is on the", ()),
        ("", ()),
    ],
)  # fmt: skip
def test_the_tags_of_a_caption(caption: str, expected: tuple[str, ...]) -> None:
    assert tags(caption) == expected


@pytest.mark.parametrize("language", ["de", "DE", "de-AT", "German", " german "])
def test_the_small_words_are_those_of_the_language(language: str) -> None:
    caption = "Ein Hund spielt im Park mit einem Ball"
    assert tags(caption, language=language) == ("hund", "spielt", "park", "ball")
    assert "mit" in tags(caption)


def test_of_an_unknown_language_every_word_counts() -> None:
    assert tags("\u0391 dog \u03ba\u03b1\u03b9 the", language="el") == ("dog", "\u03ba\u03b1\u03b9", "the")  # noqa: E501 # fmt: skip


@given(st.text(max_size=400), st.sampled_from([None, "de", "ja", "simple English", ""]))
def test_tags_are_words_of_the_caption_each_once(caption: str, language: str | None) -> None:
    found = tags(caption, language=language)
    assert len(found) <= MOST
    assert len(set(found)) == len(found)
    for tag in found:
        assert tag
        assert not any(character.isspace() for character in tag)
        assert tag in caption.lower() or tag.casefold() in caption.casefold()


def test_a_scene_is_tagged_with_its_things_and_colours() -> None:
    for scene in scenes(200, seed=43):
        found = tags(scene.caption)
        for thing in scene.things:
            assert {thing.shape, f"{thing.shape}s"} & set(found)
            assert thing.colour in found
        assert set(found).isdisjoint(OF_PICTURES)


def test_many_threads_may_ask_at_once() -> None:
    captions = [scene.caption for scene in scenes(300, seed=44)]
    alone = [tags(caption) for caption in captions]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(tags, captions * 10)) == alone * 10
