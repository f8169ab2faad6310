"""`captioner caption`: which pictures are found and sent. Needs nothing running."""

import base64
import json

from asking import caption, json_rows, picture
from caption_server import caption_of


def test_a_named_file_becomes_a_line_with_its_path_and_caption(server, here):
    words = picture("a.jpg")
    result = caption(server, "a.jpg")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"a.jpg\t{words}\n"


def test_a_folder_is_searched_recursively_for_pictures_outside_hidden_folders(server, here):
    for name in ("in/b.PNG", "in/deep/a.jpeg", "in/.hidden/c.jpg", "in/._d.jpg", "in/note.txt"):
        picture(name)
    assert caption(server, "in").exit_code == 0
    assert server.sent == ["a.jpeg", "b.PNG"]


def test_a_quoted_glob_with_two_stars_reaches_every_depth(server, here):
    for name in ("in/a.jpg", "in/x/b.jpg", "in/x/y/c.jpg", "in/x/d.png", "in/x/e.txt"):
        picture(name)
    assert caption(server, "in/**/*.jpg", "in/x/*").exit_code == 0
    assert server.sent == ["a.jpg", "b.jpg", "c.jpg", "d.png"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(server, here):
    picture("a[1].jpg")
    picture("a1.jpg")
    caption(server, "a[1].jpg")
    assert server.sent == ["a[1].jpg"]


def test_a_picture_named_twice_is_sent_once(server, here):
    picture("in/a.jpg")
    caption(server, "in", "in/a.jpg", str(here / "in"), "in/*")
    assert server.sent == ["a.jpg"]


def test_model_and_prompt_travel_only_if_given(server, here):
    picture("a.jpg")
    caption(server, "a.jpg")
    caption(server, "a.jpg", "--model", "scenes", "--prompt", "a photo of")
    expected = [{}, {"model": "scenes", "prompt": "a photo of"}]
    assert server.behaviour.forms == expected


def test_length_language_and_tags_are_asked_for_and_tags_come_in_rows(server, here):
    picture("a.jpg")
    wishes = ("--length", "alt_text", "--language", "German", "--tags")
    row = json_rows(caption(server, "a.jpg", *wishes, "--json").stdout)["a.jpg"]
    assert row["tags"] == ["a", "picture"]
    assert server.behaviour.forms == [{"length": "alt_text", "language": "German", "tags": "true"}]
    assert "tags" not in json_rows(caption(server, "a.jpg", "--json").stdout)["a.jpg"]


def test_stdin_lines_may_be_paths_objects_or_base64_and_a_bad_line_fails_alone(server, here):
    words = picture("a.jpg")
    picture("b.jpg")
    encoded = base64.b64encode(b"from memory").decode()
    lines = [
        '"a.jpg"',
        '{"path": "b.jpg", "id": 1}',
        json.dumps({"id": {"shoot": 7}, "imgb64": encoded}),
        "{broken",
        '{"id": "x"}',
        json.dumps({"id": 9, "imgb64": "!!!"}),
        "",
    ]
    result = caption(server, "-", "--json", stdin="\n".join(lines))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert json_rows(result.stdout)["a.jpg"]["caption"] == words
    by_id = {json.dumps(row.get("id")): row for row in rows}
    assert by_id["1"]["path"] == "b.jpg"
    assert by_id['{"shoot": 7}']["caption"] == caption_of(b"from memory")
    assert {row["line"]: row["error"]["code"] for row in rows if "line" in row} == {
        4: "invalid_json",
        5: "invalid_line",
    }
    assert by_id["9"]["error"]["code"] == "invalid_base64"
    assert "3 captioned, 3 failed, 0 skipped" in result.stderr
