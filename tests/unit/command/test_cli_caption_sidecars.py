"""`captioner caption --sidecars`: a text file beside each picture. Needs nothing running."""

from pathlib import Path

from asking import caption, picture


def test_sidecars_are_written_beside_and_skipped_the_next_time(server, here):
    words = picture("in/a.jpg")
    assert caption(server, "in", "--sidecars").stdout == ""
    assert Path("in/a.txt").read_text() == words + "\n"
    picture("in/b.jpg")
    result = caption(server, "in", "--sidecars")
    assert "1 captioned, 0 failed, 1 skipped" in result.stderr
    assert server.sent == ["a.jpg", "b.jpg"]
    assert sorted(path.name for path in Path("in").iterdir()) == [
        "a.jpg",
        "a.txt",
        "b.jpg",
        "b.txt",
    ]


def test_sidecars_are_replaced_with_overwrite_only(server, here):
    words = picture("a.jpg")
    Path("a.txt").write_text("my own words")
    caption(server, "a.jpg", "--sidecars")
    assert Path("a.txt").read_text() == "my own words"
    caption(server, "a.jpg", "--sidecars", "--overwrite")
    assert Path("a.txt").read_text() == words + "\n"


def test_pictures_of_one_stem_keep_a_sidecar_each_under_their_whole_name(server, here):
    jpg, png = picture("in/a.jpg"), picture("in/a.png")
    caption(server, "in", "--sidecars")
    assert Path("in/a.jpg.txt").read_text() == jpg + "\n"
    assert Path("in/a.png.txt").read_text() == png + "\n"
    assert not Path("in/a.txt").exists()
    assert "0 captioned, 0 failed, 2 skipped" in caption(server, "in", "--sidecars").stderr


def test_a_picture_that_comes_later_is_not_taken_for_its_namesake(server, here):
    picture("a.png")
    caption(server, "a.png", "--sidecars")
    late = picture("a.jpg")
    assert "2 captioned, 0 failed, 0 skipped" in caption(server, ".", "--sidecars").stderr
    assert Path("a.jpg.txt").read_text() == late + "\n"


def test_a_picture_named_alone_has_the_sidecar_that_its_folder_would_give_it(server, here):
    gif, webp = picture("anim.gif"), picture("anim.webp")
    caption(server, ".", "--sidecars")
    assert "1 skipped" in caption(server, "anim.webp", "--sidecars").stderr
    caption(server, "anim.webp", "--sidecars", "--overwrite")
    assert Path("anim.gif.txt").read_text() == gif + "\n"
    assert Path("anim.webp.txt").read_text() == webp + "\n"


def test_a_stem_that_is_the_whole_name_of_another_picture_takes_no_sidecar_from_it(server, here):
    words = {name: picture(name) for name in ("a.jpg", "a.png", "a.png.jpg")}
    caption(server, ".", "--sidecars")
    for name, text in words.items():
        assert Path(f"{name}.txt").read_text() == text + "\n"


def test_sidecars_that_a_shell_pattern_brings_along_are_not_sent(server, here):
    picture("a.jpg")
    caption(server, "a.jpg", "--sidecars")
    result = caption(server, "a.jpg", "a.txt")
    assert result.exit_code == 0
    assert server.sent == ["a.jpg", "a.jpg"]


def test_a_failed_picture_gets_no_sidecar(server, here):
    picture("a.jpg", b"bad")
    assert caption(server, "a.jpg", "--sidecars").exit_code == 1
    assert not Path("a.txt").exists()


def test_a_sidecar_that_cannot_be_written_fails_its_picture_alone(server, here):
    picture("a.jpg")
    picture("b.jpg")
    Path("b.txt").mkdir()
    result = caption(server, "a.jpg", "b.jpg", "--sidecars", "--overwrite")
    assert result.exit_code == 1
    assert "(sidecar_not_written)" in result.stderr
    assert Path("a.txt").is_file()
    assert not list(Path().glob(".captioner*"))
