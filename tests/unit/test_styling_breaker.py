"""When a styler is worth a call."""

import asyncio
from collections.abc import Callable

import pytest

from captioner.errors import CaptionerError, StylerGarbled, StylerRefused, StylerUnavailable
from worker.styling.breaker import Breaker

AWAY = StylerUnavailable("away")
USELESS = StylerGarbled("useless")
REFUSED = StylerRefused("refused", ours=True)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def image(breaker: Breaker, trouble: CaptionerError | None = None, *, missed: int = 0) -> str:
    """What becomes of one image: `called`, or the code with which it was not let in."""

    async def run() -> str:
        try:
            async with breaker.admitted() as check:
                for _ in range(missed):
                    breaker.missed()
                    check()
                if trouble is not None:
                    raise trouble
        except CaptionerError as error:
            return "called" if error is trouble else error.code
        return "called"

    return asyncio.run(run())


def test_it_stays_closed_while_every_other_image_succeeds(breaker: Breaker) -> None:
    for _ in range(50):
        assert image(breaker) == image(breaker, USELESS) == "called"
    assert breaker.state == "closed"


def test_five_calls_that_nobody_answered_open_it(breaker: Breaker) -> None:
    image(breaker)
    assert image(breaker, AWAY, missed=3) == "called"
    assert image(breaker, AWAY, missed=2) == "styler_unavailable"
    assert breaker.state == "open"
    assert image(breaker) == "styler_unavailable"


def test_twenty_useless_answers_open_it(breaker: Breaker) -> None:
    assert [image(breaker, USELESS) for _ in range(21)] == ["called"] * 20 + ["styler_garbled"]


def test_a_refusal_of_this_server_opens_it_at_once_and_one_of_a_request_does_not(
    breaker: Breaker,
) -> None:
    image(breaker)
    image(breaker, StylerRefused("400"))
    assert breaker.state == "closed"
    image(breaker, REFUSED)
    assert image(breaker) == "styler_refused"


def test_it_lets_one_try_after_a_while_and_then_waits_twice_as_long(
    breaker: Breaker, clock: Clock
) -> None:
    calls = []
    for second in range(1_000):
        clock.now = float(second)
        if image(breaker, REFUSED) == "called":
            calls.append(second)
    assert calls == [0, 30, 90, 210, 450, 750]


def test_after_a_success_it_is_closed_and_forgets_its_patience(
    breaker: Breaker, clock: Clock
) -> None:
    for clock.now in (0.0, 30.0):
        image(breaker, REFUSED)
    clock.now = 90.0
    assert image(breaker) == "called"
    assert breaker.state == "closed"
    image(breaker, REFUSED)
    clock.now = 120.0
    assert image(breaker) == "called"


@pytest.mark.parametrize(("told_s", "open_s"), [(5, 30), (60, 60), (9_999, 300)])
def test_it_is_open_for_as_long_as_was_told_within_bounds(
    breaker: Breaker, clock: Clock, told_s: float, open_s: float
) -> None:
    image(breaker, StylerUnavailable("429", retry_after_s=told_s))
    clock.now = open_s - 0.1
    assert image(breaker) == "styler_unavailable"
    clock.now = open_s
    assert image(breaker) == "called"


@pytest.mark.parametrize("trouble", [None, AWAY, REFUSED], ids=["styles", "away", "refused"])
def test_others_wait_for_the_first_and_share_what_it_found(
    breaker: Breaker, trouble: CaptionerError | None
) -> None:
    inside: list[int] = []

    async def one(number: int) -> str:
        try:
            async with breaker.admitted():
                inside.append(number)
                await asyncio.sleep(0.05)
                if trouble is not None:
                    raise trouble
        except CaptionerError as error:
            return error.code
        return "styled"

    async def all_at_once(of: Callable[[int], object]) -> list:
        return list(await asyncio.gather(*(of(n) for n in range(10))))

    found = asyncio.run(all_at_once(one))
    assert len(set(found)) == 1
    assert len(inside) == (10 if trouble is None else 1)
