"""What chat models are asked follows from the options, and every change of words is a version."""

import hashlib
import subprocess
import sys

import pytest

from captioner.options import Fault, Length, Options
from worker.engines import prompts
from worker.engines.prompts import PROMPT_VERSION, QUESTION, SYSTEM, prompt_for


def test_without_options_a_caption_is_asked_for() -> None:
    prompt = prompt_for(Options())
    assert prompt.system == SYSTEM
    assert prompt.user == f"{QUESTION} {prompts.LENGTHS[Length.MEDIUM]}"


def test_a_question_of_the_callers_own_is_asked_as_it_is() -> None:
    assert prompt_for(Options(prompt="How many cats?")).user == "How many cats?"


@pytest.mark.parametrize("length", list(Length))
def test_each_length_is_asked_for_in_words_of_its_own(length: Length) -> None:
    asked = prompt_for(Options(length=length)).user
    assert prompts.LENGTHS[length] in asked
    assert len({prompt_for(Options(length=each)).user for each in Length}) == len(Length)


def test_alt_text_is_asked_for_with_its_rules() -> None:
    asked = prompt_for(Options(length=Length.ALT_TEXT)).user
    assert "125 characters" in asked
    assert "full stop" in asked
    assert '"image of"' in asked


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("German", "Answer in German."),
        ("de", "Answer in German."),
        ("DE", "Answer in German."),
        ("pt-BR", 'Answer in the language with the tag "pt-BR".'),
        ("gsw", 'Answer in the language with the tag "gsw".'),
        ("simple English", "Answer in simple English."),
    ],
)
def test_a_language_is_asked_for_by_its_name(language: str, words: str) -> None:
    assert prompt_for(Options(language=language)).user.endswith(words)
    assert words in prompt_for(Options(prompt="How many cats?", language=language)).user


def test_a_system_prompt_of_the_callers_own_takes_the_place_of_ours() -> None:
    assert prompt_for(Options(system="You are terse.")).system == "You are terse."


def test_several_pictures_are_asked_about_together() -> None:
    assert "what these 3 pictures show" in prompt_for(Options(collective=3)).user
    question = "Who is in all of them?"
    assert prompt_for(Options(collective=3, prompt=question)).user == question


@pytest.mark.parametrize("fault", list(Fault))
def test_who_is_asked_again_is_told_what_was_wrong(fault: Fault) -> None:
    first = prompt_for(Options(prompt="What is it?"))
    again = prompt_for(Options(prompt="What is it?", again=fault))
    assert again.system == first.system
    assert again.user == f"{first.user} {prompts.AGAIN[fault]}"


def test_a_question_of_yes_or_no_is_asked_as_it_is_and_answered_in_json() -> None:
    asked = prompt_for(prompts.yes_or_no("Is there a dog?"))
    assert asked.user == "Is there a dog?"
    assert '{"flagged": true}' in asked.system


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_blank_texts_are_as_if_left_out(blank: str) -> None:
    assert prompt_for(Options(prompt=blank, system=blank)) == prompt_for(Options())


def test_the_version_is_raised_with_every_change_of_words() -> None:
    asked = [
        prompt_for(Options(prompt=prompt, length=length, language=language, again=again))
        for prompt in (None, "What?")
        for again in (None, *Fault)
        for length in (None, *Length)
        for language in (None, "gsw", *prompts.LANGUAGES)
    ]
    asked += [prompt_for(prompts.yes_or_no("Is it?")), prompt_for(Options(collective=3))]
    written = hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
    assert (PROMPT_VERSION, written) == ("2", "15451aa1ec41")


def test_prompts_are_made_without_a_network_library() -> None:
    code = "import worker.engines.prompts, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
