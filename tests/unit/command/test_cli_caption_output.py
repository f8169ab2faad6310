"""`captioner caption`: lines, JSON and CSV, and how a file is continued. Needs nothing running."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from asking import caption, picture


def test_a_terminal_never_obeys_a_caption_or_a_file_name(server, here):
    server.behaviour.evil = True
    picture("a\x1b[2J.jpg")
    result = caption(server, "a\x1b[2J.jpg")
    assert result.stdout == "a\\x1b[2J.jpg\t=cmd()\\x1b[31m red\\nline\n"
    result = caption(server, "a\x1b[2J.jpg", "--json")
    assert "\x1b" not in result.output
    assert json.loads(result.stdout)["caption"] == "=cmd()\x1b[31m red\nline"


def test_a_csv_cell_is_never_a_formula(server, here):
    server.behaviour.evil = True
    picture("+x.jpg")
    result = caption(server, "--csv", "+x.jpg")
    row = next(csv.DictReader(io.StringIO(result.stdout)))
    assert (row["path"], row["caption"]) == ("'+x.jpg", "'=cmd()\\x1b[31m red\\nline")


def test_a_file_name_that_is_not_utf8_is_captioned_and_resumed(server, here):
    name = os.fsdecode(b"in/caf\xe9.jpg")
    picture(name)
    for kind in ("--json", "--csv"):
        arguments = ("in", kind, "--output", f"out{kind}")
        assert "1 captioned" in caption(server, *arguments).stderr
        assert "0 captioned, 0 failed, 1 skipped" in caption(server, *arguments).stderr
    assert json.loads(Path("out--json").read_text())["path"] == name


@pytest.mark.parametrize("kind", ["--csv", "--json"])
def test_an_output_file_is_continued_and_failed_pictures_are_tried_again(server, here, kind):
    picture("in/a.jpg")
    picture("in/=b.jpg")
    picture("in/c.jpg", b"bad")
    arguments = ("in", kind, "--output", "out")
    assert caption(server, *arguments).exit_code == 1
    before = Path("out").read_text()
    picture("in/c.jpg", b"good now")
    picture("in/d.jpg")
    server.behaviour.posts.clear()
    result = caption(server, *arguments)
    assert result.exit_code == 0, result.output
    assert "2 captioned, 0 failed, 2 skipped" in result.stderr
    assert server.sent == ["c.jpg", "d.jpg"]
    assert Path("out").read_text().startswith(before)
    assert len(Path("out").read_text().splitlines()) == 5 + (kind == "--csv")


@pytest.mark.parametrize("kind", ["--csv", "--json"])
def test_overwrite_starts_the_output_file_anew(server, here, kind):
    picture("a.jpg")
    Path("out").write_text("someone else's notes\n")
    refused = caption(server, "a.jpg", kind, "--output", "out")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert Path("out").read_text() == "someone else's notes\n"
    assert caption(server, "a.jpg", kind, "--output", "out", "--overwrite").exit_code == 0
    assert "someone" not in Path("out").read_text()


@pytest.mark.parametrize("kind", ["--csv", "--json"])
def test_a_half_line_that_a_crash_left_is_cut_off_and_its_picture_done_again(server, here, kind):
    picture("a.jpg")
    picture("b.jpg")
    arguments = (kind, "--output", "out")
    caption(server, "a.jpg", *arguments)
    whole = Path("out").read_text()
    caption(server, "b.jpg", *arguments)
    cut = Path("out").read_text()[:-4]
    Path("out").write_text(cut)
    result = caption(server, "a.jpg", "b.jpg", *arguments)
    assert "1 captioned, 0 failed, 1 skipped" in result.stderr
    text = Path("out").read_text()
    assert text.startswith(whole)
    assert len(text.splitlines()) == len(whole.splitlines()) + 1
    again = caption(server, "a.jpg", "b.jpg", *arguments)
    assert "0 captioned, 0 failed, 2 skipped" in again.stderr
