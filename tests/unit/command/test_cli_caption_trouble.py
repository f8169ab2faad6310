"""`captioner caption`: a server that is busy, stuck or gone, and Ctrl-C. Needs nothing running."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from asking import ROOT, caption, picture
from caption_server import running

from tests.processes import heed_ctrl_c


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_answer_is_waited_out_as_retry_after_says(server, here, status):
    picture("a.jpg")
    server.behaviour.busy_answers = [(status, "1")]
    result = caption(server, "a.jpg")
    first, second = server.behaviour.post_times
    assert result.exit_code == 0
    assert 1.0 <= second - first < 3.0
    assert "Too many calls are waiting. Trying again in 1 s." in result.stderr


def test_retry_after_never_waits_past_the_timeout(server, here):
    picture("a.jpg")
    server.behaviour.busy_answers = [(503, "3600")] * 99
    started = time.monotonic()
    result = caption(server, "a.jpg", "--timeout", "0.5")
    assert time.monotonic() - started < 5
    assert result.exit_code == 1
    assert "0 captioned, 1 failed" in result.stderr


def test_a_dropped_connection_is_tried_again_with_the_same_idempotency_key(server, here):
    words = picture("a.jpg")
    server.behaviour.drop_posts = 2
    result = caption(server, "a.jpg")
    assert (result.exit_code, result.stdout) == (0, f"a.jpg\t{words}\n")
    assert len(server.behaviour.keys) == 3
    assert len(set(server.behaviour.keys)) == 1


def test_a_server_gone_midway_keeps_what_was_done_and_the_next_run_goes_on(server, here):
    for number in range(6):
        picture(f"in/{number}.jpg")
    seen = []

    def vanish_on_the_third():
        seen.append(1)
        if len(seen) == 3:
            threading.Thread(target=server.vanish).start()
            time.sleep(0.2)

    server.behaviour.on_post = vanish_on_the_third
    arguments = ("in", "--csv", "--output", "out.csv", "--batch", "1", "--jobs", "1")
    result = caption(server, *arguments, "--timeout", "0.5")
    assert result.exit_code == 1
    assert "2 captioned, 1 failed, 0 skipped, 3 not tried in" in result.stderr
    assert "stopped answering" in result.stderr
    assert "Run the same command again to go on" in result.stderr
    with running() as again:
        result = caption(again, *arguments)
        assert result.exit_code == 0
        assert "4 captioned, 0 failed, 2 skipped" in result.stderr
        assert again.sent == ["2.jpg", "3.jpg", "4.jpg", "5.jpg"]


def test_a_job_that_never_moves_fails_after_the_timeout_and_asks_about_the_worker(server, here):
    picture("a.jpg")
    server.behaviour.stuck = True
    result = caption(server, "a.jpg", "--timeout", "0.3")
    assert result.exit_code == 1
    assert "No caption came for 0.3 s. Is a worker running?" in result.stderr


def test_a_request_that_the_server_finds_too_large_is_halved(server, here):
    for number in range(8):
        picture(f"in/{number}.jpg")
    server.behaviour.max_files = 3
    assert caption(server, "in").exit_code == 0
    assert [len(post) for post in server.behaviour.posts] == [2, 2, 2, 2]


def test_requests_are_bounded_by_batch_and_run_side_by_side_up_to_jobs(server, here):
    for number in range(12):
        picture(f"in/{number:02}.jpg")
    server.behaviour.slow_s = 0.3
    result = caption(server, "in", "--batch", "2", "--jobs", "3")
    assert result.exit_code == 0
    assert [len(post) for post in server.behaviour.posts] == [2] * 6
    assert server.behaviour.most_running == 3


def test_ctrl_c_exits_130_keeps_what_was_written_and_says_how_to_go_on(server, here):
    for number in range(8):
        picture(f"in/{number}.jpg")
    posts = []

    def stick_after_two():
        posts.append(1)
        server.behaviour.stuck = len(posts) > 2

    server.behaviour.on_post = stick_after_two
    arguments = ["in", "--sidecars", "--batch", "1", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "caption", "--server", server.url, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,
    )
    deadline = time.monotonic() + 20
    while len(posts) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "2 captioned, 0 failed, 0 skipped, 6 not tried" in said
    assert "Run the same command again to go on" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in Path("in").glob("*.txt")) == ["0.txt", "1.txt"]
