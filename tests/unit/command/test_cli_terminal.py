"""What a person at a terminal sees, and how output that cannot be written ends.

Needs nothing running.
"""

import os
import subprocess
import sys

from asking import picture

from tests.terminal import environment, screen


def command(server, *arguments: str) -> list[str]:
    program = [sys.executable, "-m", "cli.main", "caption", "--server", server.url]
    return [*program, *arguments]


def test_a_terminal_gets_a_bar_a_table_and_a_summary(server, here):
    words = picture("in/[red]a.jpg")
    picture("in/b.jpg", b"bad")
    drawn = screen(command(server, "in"))
    assert "Captioning" in drawn
    assert "2/2" in drawn
    assert "in/[red]a.jpg" in drawn
    assert words in drawn
    assert "failed: It is damaged." in drawn
    assert "1 captioned, 1 failed, 0 skipped in" in drawn


def test_a_bar_on_the_terminal_leaves_a_pipe_its_captions(server, here):
    words = picture("a.jpg")
    with open("piped", "wb") as piped:  # noqa: PTH123 (a number is needed)
        drawn = screen(command(server, "a.jpg"), stdout=piped.fileno())
    assert "1/1" in drawn
    assert words not in drawn
    assert (here / "piped").read_text() == f"a.jpg\t{words}\n"


def test_rows_on_a_terminal_are_not_cut_up_by_a_bar(server, here):
    picture("a.jpg")
    drawn = screen(command(server, "a.jpg", "--json"))
    assert drawn.startswith('{"path": "a.jpg"')
    assert "Captioning" not in drawn


def test_a_full_disk_is_one_line_and_exit_1(server, here):
    picture("a.jpg")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            command(server, "a.jpg", "--json"),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The captions cannot be written: No space left")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_ends_the_command_quietly(server, here):
    for number in range(20):
        picture(f"in/{number}.jpg")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(server, "in", "--batch", "1"),
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""
    assert len(server.sent) < 20
