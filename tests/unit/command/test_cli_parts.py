"""The small parts of `captioner caption` by themselves. Needs nothing running."""

import json
import os

import pytest

from cli.batches import batches
from cli.client import address
from cli.escape import cell, json_line, plain
from cli.pictures import MAX_REQUEST_BYTES, Picture, UnreadableError
from cli.tally import Tally, duration


def test_a_request_is_bounded_in_bytes_and_a_large_picture_goes_alone(tmp_path):
    pictures = []
    for number, size in enumerate([40, 40, 40, 500, 10]):
        path = tmp_path / str(number)
        path.write_bytes(b"x" * size)
        pictures.append(Picture(name=str(number), path=path))
    grouped = batches(pictures, size=16, max_bytes=100)
    assert [[picture.name for picture in batch] for batch in grouped] == [
        ["0", "1"],
        ["2"],
        ["3"],
        ["4"],
    ]


def test_a_file_that_no_request_may_carry_is_never_read(tmp_path):
    path = tmp_path / "huge.jpg"
    path.touch()
    os.truncate(path, MAX_REQUEST_BYTES + 1)
    with pytest.raises(UnreadableError) as caught:
        Picture(name="huge", path=path).read()
    assert caught.value.failure.code == "file_too_large"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", r"a\tb\nc"),
        ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\udcff", r"\udcff"),
        ("Zürich 猫 👩\u200d🚀", "Zürich 猫 👩\u200d🚀"),
    ],
)
def test_plain_text_shows_what_a_terminal_would_obey(text, shown):
    assert plain(text) == shown
    assert json.loads(json_line(text)) == text
    assert json_line(text).isprintable() or "\u200d" in text


@pytest.mark.parametrize("formula", ["=1", "+1", "-1", "@x", " =1", "\uff1d1"])
def test_a_formula_is_guarded_and_stays_apart_from_its_guarded_twin(formula):
    assert cell(formula) == f"'{formula}"
    assert cell(f"'{formula}") == f"''{formula}"
    assert cell("a=1") == "a=1"


def test_the_tally_says_pace_rest_and_summary():
    tally = Tally(found=20)
    tally.captioned, tally.failed, tally.skipped = 12, 1, 3
    tally.started -= 4.2
    assert tally.summary() == "12 captioned, 1 failed, 3 skipped in 4.2 s (2.9 images/s)"
    assert tally.line() == "16 of 20 done, 1 failed, 2.9 images/s, about 1.3 s left"
    tally.unfinished = True
    assert "3 skipped, 4 not tried in" in tally.summary()


def test_durations_read_as_people_say_them():
    shown = [duration(seconds) for seconds in (4.24, 59.99, 200, 7500)]
    assert shown == ["4.2 s", "1 min 0 s", "3 min 20 s", "2 h 5 min"]


def test_a_server_may_be_named_without_its_scheme():
    assert address("gpu-box:8000") == "http://gpu-box:8000"
    assert address("https://host/prefix/") == "https://host/prefix"
