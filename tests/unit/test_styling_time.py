"""What an image does with the time that it has for its styles: calls, silences and pauses."""

import time

import pytest

from captioner.styles import Styling
from tests.gemini_server import DOWN, HANGS, GeminiServer, Trouble, retry_info
from tests.unit.styling import Asking, claim, whole
from tests.unit.styling import gemini as gemini
from worker.styling.course import SILENT


class Pauses:
    """Pauses that take no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.drawn: list[tuple[float, float]] = []
        self.how = {"sleep": self.sleep, "draw": self.draw}

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def draw(self, least: float, most: float) -> float:
        self.drawn.append((least, most))
        return most


def test_a_styler_that_hangs_costs_its_time_and_no_more(gemini: GeminiServer) -> None:
    gemini.always = HANGS
    began = time.monotonic()
    assert Asking(gemini, timeout_s=2).each(claim()) == ["styler_unavailable"]
    assert time.monotonic() - began < 5
    assert len(gemini.asked) == 2


def test_a_call_that_hangs_is_given_up_and_made_again(gemini: GeminiServer) -> None:
    gemini.troubles = [HANGS]
    assert Asking(gemini, timeout_s=3).each(claim()) == [whole()]
    first, second = gemini.asked
    assert 1.5 <= second.at - first.at < 2.5


def test_a_call_that_goes_on_speaking_has_all_the_time_of_its_picture(
    gemini: GeminiServer,
) -> None:
    gemini.pause_s = 0.1
    began = time.monotonic()
    found = Asking(gemini, timeout_s=5).each(claim(styling=Styling()))
    assert found == [whole(styling=Styling())]
    assert time.monotonic() - began > 5 * SILENT
    assert len(gemini.asked) == 1


def test_pauses_are_drawn_and_grow(gemini: GeminiServer) -> None:
    pauses = Pauses()
    gemini.troubles = [DOWN, DOWN]
    assert Asking(gemini, course=pauses.how).each(claim()) == [whole()]
    assert pauses.drawn == [(0.25, 0.5), (0.5, 1.0)]
    assert pauses.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("trouble", "told_s"),
    [
        (Trouble(status=429, headers={"Retry-After": "3"}), 3.0),
        (Trouble(status=503, headers={"retry-after": "2.5"}), 2.5),
        (Trouble(status=429, details=(retry_info("1.5s"),)), 1.5),
        (Trouble(status=429, headers={"Retry-After": "1"}, details=(retry_info("2s"),)), 2.0),
    ],
    ids=str,
)
def test_a_wait_that_is_told_is_slept_instead_of_a_pause(
    gemini: GeminiServer, trouble: Trouble, told_s: float
) -> None:
    pauses = Pauses()
    gemini.troubles = [trouble]
    assert Asking(gemini, course=pauses.how).each(claim()) == [whole()]
    assert (pauses.slept, pauses.drawn) == ([told_s], [])


def test_a_pause_that_its_time_does_not_allow_is_not_begun(gemini: GeminiServer) -> None:
    pauses = Pauses()
    asking = Asking(gemini, timeout_s=2, course=pauses.how)
    gemini.troubles = [Trouble(status=429, headers={"Retry-After": "3"})]
    assert asking.each(claim()) == ["styler_unavailable"]
    assert pauses.slept == []
    assert len(gemini.asked) == 1


def test_a_drip_without_an_end_is_cut_by_the_clock(gemini: GeminiServer) -> None:
    gemini.pause_s = 0.3  # each piece comes in time, and all of them do not
    assert Asking(gemini, timeout_s=1.5).each(claim()) == ["styler_unavailable"]


def test_a_wait_that_is_told_is_kept(gemini: GeminiServer) -> None:
    gemini.troubles = [Trouble(status=429, details=(retry_info("1.5s"),))]
    assert Asking(gemini).each(claim()) == [whole()]
    first, second = gemini.asked
    assert second.at - first.at >= 1.5


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(status=429, details=(retry_info("34.07s"),)),
        Trouble(status=503, headers={"Retry-After": "60"}),
        Trouble(status=429, headers={"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}),
    ],
    ids=str,
)
def test_a_wait_that_is_too_long_is_not_begun_and_nobody_else_calls(
    gemini: GeminiServer, trouble: Trouble
) -> None:
    gemini.troubles = [trouble]
    asking = Asking(gemini)
    assert asking.each(claim(), claim(), claim()) == ["styler_unavailable"] * 3
    assert len(gemini.asked) == 1
    assert asking.breaker.state == "open"
