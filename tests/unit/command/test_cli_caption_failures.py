"""`captioner caption`: pictures and command lines that are wrong. Needs nothing running."""

import os
from pathlib import Path

import pytest
from asking import caption, json_rows, picture


@pytest.mark.parametrize(
    ("data", "code"), [(b"bad", "image_undecodable"), (b"junk", "unsupported_image_format")]
)
def test_one_bad_picture_of_ten_fails_alone(server, here, data, code):
    for number in range(9):
        picture(f"in/{number}.jpg")
    picture("in/x.jpg", data)
    result = caption(server, "in", "--json")
    rows = json_rows(result.stdout)
    assert result.exit_code == 1
    assert rows["in/x.jpg"]["error"]["code"] == code
    assert rows["in/x.jpg"]["caption"] is None
    assert sum(row["error"] is None for row in rows.values()) == 9
    assert "9 captioned, 1 failed, 0 skipped in" in result.stderr


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (b"junk 2", "Not a picture. (unsupported_image_format)"),
        (b"", "The picture has no bytes. (image_empty)"),
    ],
)
def test_a_request_of_refused_pictures_only_fails_each_with_its_reason(
    server, here, second, reason
):
    picture("in/a.jpg", b"junk 1")
    picture("in/b.jpg", second)
    result = caption(server, "in", "--batch", "2")
    assert result.exit_code == 1
    assert f"failed: in/b.jpg: {reason}\n" in result.stderr
    assert "failed: in/a.jpg: Not a picture. (unsupported_image_format)" in result.stderr
    assert "0 captioned, 2 failed" in result.stderr


def test_missing_and_unreadable_files_fail_alone(server, here):
    picture("a.jpg")
    Path("folder.jpg").mkdir()
    os.mkfifo("pipe.jpg")
    arguments = ("a.jpg", "gone.jpg", "pipe.jpg", "no*.jpg", "-")
    result = caption(server, *arguments, "--json", stdin='"folder.jpg"')
    rows = json_rows(result.stdout)
    assert result.exit_code == 1
    assert {path: row["error"] and row["error"]["code"] for path, row in rows.items()} == {
        "a.jpg": None,
        "gone.jpg": "file_not_found",
        "pipe.jpg": "file_unreadable",
        "no*.jpg": "file_not_found",
        "folder.jpg": "file_unreadable",
    }


def test_a_file_that_disappears_during_the_run_fails_alone(server, here):
    for number in range(4):
        picture(f"in/{number}.jpg")
    server.behaviour.on_post = lambda: Path("in/3.jpg").unlink(missing_ok=True)
    result = caption(server, "in", "--batch", "1", "--jobs", "1")
    assert result.exit_code == 1
    assert "failed: in/3.jpg: There is no such file. (file_not_found)" in result.stderr
    assert "3 captioned, 1 failed" in result.stderr


def test_a_model_that_is_not_served_ends_the_run_as_a_usage_error(server, here):
    picture("a.jpg")
    result = caption(server, "a.jpg", "--model", "unheard-of")
    assert result.exit_code == 2
    assert result.stderr == "Error: No model 'unheard-of' is served here.\n"


def test_no_server_is_one_clear_line_that_says_how_to_start_one(here):
    picture("a.jpg")
    result = caption("http://127.0.0.1:1", "a.jpg")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[0] == (
        "Error: No captioner server answers at http://127.0.0.1:1. Start one with "
        "`captioner up`, or name another with --server URL."
    )


def test_some_other_web_page_is_told_apart_from_a_captioner_server(server, here):
    picture("a.jpg")
    result = caption(f"{server.url}/elsewhere", "a.jpg")
    assert result.exit_code == 2
    assert "/elsewhere/captionImage is no captioner server (it answers HTTP 404)" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a.jpg", "--csv", "--json"),
        ("a.jpg", "--output", "x.csv"),
        ("a.jpg", "--csv", "--tags"),
        ("a.jpg", "--length", "endless"),
        ("a.jpg", "--csv", "--output", "missing/x.csv"),
        ("-", "-"),
        ("a.jpg", "--server", "ftp://somewhere"),
    ],
)
def test_a_wrong_command_line_exits_2_and_sends_nothing(server, here, arguments):
    picture("a.jpg")
    result = caption(server, *arguments)
    assert result.exit_code == 2
    assert server.behaviour.keys == []


def test_an_empty_folder_is_said_and_is_no_failure(server, here):
    Path("in").mkdir()
    result = caption(server, "in")
    assert (result.exit_code, result.stderr) == (0, "No pictures found in in.\n")
