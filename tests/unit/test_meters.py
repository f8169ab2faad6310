"""What a worker has done is told once, and nothing is lost when it cannot be."""

import threading
import time
from uuid import uuid4

import pytest

from captioner import errors
from captioner.errors import Canceled, ImageTruncated
from captioner.figures import SECONDS, STAGES, error, times_up_to
from captioner.work import Claim, Outcome, Timings
from worker.engines.stages import measured, stage
from worker.meters import Meters


def test_batches_are_counted_by_size_and_their_stages_added_up() -> None:
    meters = Meters()
    for images in (1, 3, 4, 500):
        meters.ran("m", images=images, tokens=7, seconds={"encode": 0.5, "generate": 0.25})
    with meters.told() as sums:
        assert sums == {
            ("batches_1", "m"): 1,
            ("batches_4", "m"): 2,
            ("batches_more", "m"): 1,
            ("images", "m"): 508,
            ("tokens", "m"): 28,
            ("encode_s", "m"): 2.0,
            ("generate_s", "m"): 1.0,
            ("encode_in_0.5", "m"): 4,
            ("generate_in_0.25", "m"): 4,
        }


def test_what_pictures_waited_for_is_added_up_in_seconds() -> None:
    meters = Meters()
    claim = Claim(uuid4(), 0, 1, None, "m")
    meters.landed("m", [Outcome(claim, timings=Timings(20.0, 300.0)), Outcome(claim)])
    with meters.told() as sums:
        assert sums == {
            ("decode_s", "m"): 0.02,
            ("decode_in_0.025", "m"): 1,
            ("wait_s", "m"): 0.3,
            ("wait_in_0.5", "m"): 1,
        }


def test_endings_are_counted_by_model_and_errors_by_code() -> None:
    meters = Meters()
    claim = Claim(uuid4(), 0, 1, None, "m")
    meters.finished(
        [
            Outcome(claim, caption="a star"),
            Outcome(claim, error=ImageTruncated("cut")),
            Outcome(claim, error=Canceled("no")),
        ]
    )
    meters.sent("failed")
    with meters.told() as sums:
        assert sums == {
            ("ended_succeeded", "m"): 1,
            ("ended_failed", "m"): 1,
            ("ended_canceled", "m"): 1,
            ("error_image_truncated", ""): 1,
            ("error_canceled", ""): 1,
            ("webhook_failed", ""): 1,
        }


def test_every_name_of_a_sum_fits_its_column() -> None:
    codes = {kind.code for kind in vars(errors).values() if hasattr(kind, "code")}
    stages = {times_up_to(stage, bound) for stage in STAGES for bound in (*SECONDS, 1e9)}

    assert max(map(len, {error(code) for code in codes} | stages)) <= 32
    assert {error(code) for code in codes} == {f"error_{code}" for code in codes}


def test_what_was_told_is_still_among_everything() -> None:
    meters = Meters()
    meters.came("m")
    with meters.told():
        pass
    meters.came("m")
    assert meters.all() == {("loads", "m"): 2}


def test_what_could_not_be_stored_is_told_the_next_time_with_what_came_meanwhile() -> None:
    meters = Meters()
    meters.came("m")

    def store() -> None:
        with meters.told():
            meters.came("m")
            raise OSError("away")

    with pytest.raises(OSError, match="away"):
        store()
    with meters.told() as sums:
        assert sums == {("loads", "m"): 2}
    with meters.told() as sums:
        assert sums == {}


def test_what_is_not_another_stage_is_generation() -> None:
    with measured() as seconds:
        with stage("encode"):
            time.sleep(0.02)
        time.sleep(0.03)
    assert 0.02 <= seconds["encode"] < 0.03 <= seconds["generate"] + 0.001
    with stage("encode"):  # nobody asks
        pass
    assert set(seconds) == {"encode", "generate"}


def test_a_stage_counts_for_its_own_thread_alone() -> None:
    def elsewhere() -> None:
        with stage("encode"):
            pass

    with measured() as seconds:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert set(seconds) == {"generate"}
