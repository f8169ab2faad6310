"""What is asked about one picture, and what is made of the answers."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import CaptionFailed, ShuttingDown
from captioner.options import PLAIN, UNSAFE, Fault, Length, Options
from tests.pictures import scenes
from worker.alt_text import alt_text
from worker.dialogue import Dialogue, Said
from worker.engines.prompts import yes_or_no
from worker.engines.protocol import Caption
from worker.lint import Judge

LOOP = "a dog dog dog dog on sand"
LONG_TEXT = " ".join(f"dog{n} and cat{n + 1}," for n in range(40))


def caption(text: str, *others: str) -> Caption:
    tokens = tuple(range(len(text.split())))
    return Caption(text, tokens, -0.5, tuple(Caption(other, tokens, -0.6) for other in others))


def talk(options: Options, *answers: str | Exception, chats: bool = False):
    """The questions that were asked, and what was said in the end."""
    dialogue, asked = Dialogue(options, chats=chats), []
    for answer in answers:
        asked.append(dialogue.asks)
        if isinstance(answer, str):
            said = dialogue.hears(caption(answer))
        else:
            said = dialogue.fails(answer)
    assert said is not None
    return asked, said


def test_a_caption_as_it_should_be_is_asked_for_once_and_told_as_it_is() -> None:
    for scene in scenes(300, seed=45):
        asked, said = talk(PLAIN, scene.caption)
        assert asked == [PLAIN]
        assert said == Said(caption(scene.caption))


def test_what_no_database_takes_is_left_out_of_what_a_model_says() -> None:
    dialogue = Dialogue(Options(tags=True), chats=True)
    said = dialogue.hears(caption("a d\x00og\x1b on\ud800 sand\r\n", "\x00a cat"))
    assert said is not None
    assert said.caption.text == "a dog on sand"
    assert [other.text for other in said.caption.others] == ["a cat"]
    assert said.tags == ("dog", "sand")
    assert CaptionFailed("no d\x00og").detail == "no dog"


@pytest.mark.parametrize("length", list(Length))
def test_a_length_is_asked_for_in_tokens_or_in_words(length: Length) -> None:
    completing = Dialogue(Options(length=length), chats=False).asks
    assert completing.length is None
    assert completing.max_new_tokens is not None
    assert (completing.min_new_tokens or 0) < completing.max_new_tokens
    asked = Options(length=length)
    assert Dialogue(asked, chats=True).asks == asked


def test_longer_lengths_have_more_tokens() -> None:
    lengths = (Length.SHORT, Length.MEDIUM, Length.LONG)
    most = [Dialogue(Options(length=each), chats=False).asks.max_new_tokens for each in lengths]
    assert most == sorted(set(most))


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({"max_new_tokens": 8}, (8, 8)),
        ({"min_new_tokens": 30}, (30, 64)),
        ({"min_new_tokens": 90}, (90, 90)),
        ({"min_new_tokens": 2, "max_new_tokens": 9}, (2, 9)),
        ({}, (20, 64)),
    ],
    ids=str,
)
def test_what_the_request_has_set_itself_stays(given: dict, bounds: tuple[int, int]) -> None:
    asks = Dialogue(Options(length=Length.LONG, **given), chats=False).asks
    assert (asks.min_new_tokens, asks.max_new_tokens) == bounds


@pytest.mark.parametrize(
    ("options", "first", "changed"),
    [
        (PLAIN, LOOP, {"no_repeat_ngram": 2}),
        (PLAIN, "a dog in the grass in the grass", {"no_repeat_ngram": 3}),
        (Options(temperature=1.0, seed=3), LOOP, {"no_repeat_ngram": 2}),
        (PLAIN, "", {"min_new_tokens": 4, "num_beams": 3}),
        (Options(max_new_tokens=2), "", {"min_new_tokens": 2, "num_beams": 3}),
        (PLAIN, "a picture of a dog", {"num_beams": 3}),
        (Options(num_beams=4, num_captions=4), "an image of a dog", {"num_beams": 6}),
        (Options(temperature=1.0, seed=3, num_captions=2), "an image of a dog", {"seed": 5}),
        (Options(temperature=1.0), "an image of a dog", {}),
    ],
    ids=str,
)
def test_what_goes_on_with_a_text_is_asked_again_by_other_settings(options, first, changed) -> None:
    asked, said = talk(options, first, "a dog on sand")
    assert asked == [options, replace(options, **changed)]
    assert said.caption.text == "a dog on sand"
    assert said.retried_for is Judge(options, chats=False).faults(first)[0]


@pytest.mark.parametrize(
    ("options", "first", "fault", "changed"),
    [
        (PLAIN, LOOP, Fault.REPETITION, {"no_repeat_ngram": 2}),
        (PLAIN, "", Fault.EMPTY, {"min_new_tokens": 4}),
        (PLAIN, "This image shows a dog.", Fault.STOCK_OPENING, {}),
        (Options(length=Length.LONG), "A dog.", Fault.TOO_SHORT, {}),
        (Options(length=Length.SHORT), LONG_TEXT[:130], Fault.TOO_LONG, {}),
    ],
    ids=str,
)
def test_what_answers_is_told_what_was_wrong(options, first, fault, changed) -> None:
    good = "A small dog runs over the sand of a beach, after a ball that somebody has thrown."
    asked, said = talk(
        options, first, good if fault is not Fault.TOO_LONG else "A dog.", chats=True
    )
    assert asked == [options, replace(options, again=fault, **changed)]
    assert said.retried_for is fault
    assert said.caption.text != first


def test_a_caption_that_is_too_long_or_too_short_is_asked_for_in_other_tokens() -> None:
    twelve = " ".join(f"wonderful{n:03}" for n in range(12))
    asked, _ = talk(Options(length=Length.SHORT), twelve, "a dog")
    assert asked[1].max_new_tokens == 12 * 100 // len(twelve)
    asked, _ = talk(Options(length=Length.LONG), "a dog on sand", LONG_TEXT[:200].strip())
    assert asked[1].min_new_tokens > asked[0].min_new_tokens
    assert asked[1].max_new_tokens >= asked[1].min_new_tokens


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (LOOP, "a cat cat cat on my dog", "a cat cat cat on my dog"),
        ("a cat cat cat on my dog", LOOP, "a cat cat cat on my dog"),
        (LOOP, LOOP.replace("dog", "cat"), LOOP),
        (LOOP, "", LOOP),
        ("", "", ""),
        ("", LOOP, LOOP),
        ("a picture of a dog", "an image of a dog", "a dog"),
        ("This is a picture of a dog.", "", "A dog."),
    ],
)
def test_the_better_of_two_is_kept_and_there_are_never_three(first, second, kept) -> None:
    asked, said = talk(PLAIN, first, second)
    assert len(asked) == 2
    assert said.caption.text == kept
    assert said.retried_for is not None


def test_the_first_is_kept_where_the_second_fails_for_good() -> None:
    _, said = talk(PLAIN, LOOP, CaptionFailed("The engine raised."))
    assert (said.caption.text, said.retried_for) == (LOOP, Fault.REPETITION)


@pytest.mark.parametrize("answers", [[], [LOOP], ["a dog"]])
def test_what_may_pass_goes_back_to_the_queue(answers: list[str]) -> None:
    dialogue = Dialogue(Options(flag=UNSAFE), chats=True)
    for answer in answers:
        assert dialogue.hears(caption(answer)) is None
    with pytest.raises(ShuttingDown):
        dialogue.fails(ShuttingDown("It leaves."))


def test_where_no_caption_was_made_at_all_its_error_is_told() -> None:
    with pytest.raises(CaptionFailed):
        Dialogue(PLAIN, chats=False).fails(CaptionFailed("The engine raised."))


@pytest.mark.parametrize("chats", [True, False])
def test_alt_text_is_made_of_every_caption(chats: bool) -> None:
    dialogue = Dialogue(Options(length=Length.ALT_TEXT, num_beams=2, num_captions=2), chats=chats)
    said = dialogue.hears(caption("a photo of a dog on sand", "there is an image of a cat"))
    assert said is not None
    assert said.caption.text == "A dog on sand."
    assert [other.text for other in said.caption.others] == ["A cat."]
    assert said.retried_for is None


def test_alt_text_that_stays_too_long_is_cut() -> None:
    _, said = talk(Options(length=Length.ALT_TEXT), LONG_TEXT, LONG_TEXT, chats=True)
    assert said.caption.text == alt_text(LONG_TEXT)
    assert said.retried_for is Fault.TOO_LONG


def test_a_short_caption_that_was_cut_ends_with_a_whole_word() -> None:
    cut = "two red stars to the right of a blue car on a"
    _, said = talk(Options(length=Length.SHORT), cut)
    assert said.caption.text == "two red stars to the right of a blue car"
    _, said = talk(PLAIN, cut)
    assert said.caption.text == cut


def test_a_flag_is_a_question_of_its_own_after_the_caption() -> None:
    options = Options(flag="Is there a dog?", prompt="What is it?", language="de", tags=True)
    asked, said = talk(options, "Ein Hund am Strand.", '{"flagged": true}', chats=True)
    assert asked == [Options(prompt="What is it?", language="de"), yes_or_no("Is there a dog?")]
    assert said.flagged is True
    assert said.tags == ("hund", "strand")


@pytest.mark.parametrize("answer", ["Yes!", "", CaptionFailed("The engine raised.")])
def test_without_a_clear_answer_there_is_no_flag_and_the_caption_stays(answer) -> None:
    _, said = talk(Options(flag=UNSAFE), "A dog.", answer, chats=True)
    assert said == Said(caption("A dog."))


def test_a_model_that_cannot_answer_is_not_asked() -> None:
    asked, said = talk(Options(flag=UNSAFE), "a dog")
    assert asked == [PLAIN]
    assert said.flagged is None


def test_wishes_that_do_not_shape_a_caption_share_a_batch() -> None:
    plain, more = Options(prompt="a"), Options(prompt="a", tags=True, flag="Is it a dog?")
    assert Dialogue(plain, chats=False).asks == Dialogue(more, chats=False).asks


SPEECH = st.text(max_size=200) | st.lists(
    st.sampled_from(["a", "dog", "image of", "photo shows", ".", "the", "\u516c\u5712"]),
    max_size=60,
).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Options,
        prompt=st.none() | SPEECH,
        length=st.none() | st.sampled_from(Length),
        min_new_tokens=st.none() | st.integers(0, 9),
        temperature=st.none() | st.just(1.0),
        seed=st.none() | st.just(2**63 - 1),
        tags=st.none() | st.just(True),
        flag=st.none() | st.just(UNSAFE),
    ),
    st.lists(SPEECH, min_size=3, max_size=3),
    st.booleans(),
)
def test_whatever_is_said_there_is_an_end(options, answers, chats) -> None:
    dialogue, asked, told = Dialogue(options, chats=chats), [], None
    while told is None:
        asked.append(dialogue.asks)
        told = dialogue.hears(caption(answers[len(asked) - 1]))
    assert len(asked) == len(set(asked)) or not options.repeatable
    assert len(asked) <= 2 + bool(options.flag)
    assert (told.retried_for is not None) == (len(asked) - (asked[-1].system is not None) == 2)
    assert (told.tags is None) == (options.tags is None)
    if options.length is Length.ALT_TEXT:
        assert alt_text(told.caption.text) == told.caption.text
    if not any(answer.strip() for answer in answers[:2]):
        assert not told.caption.text.strip()
