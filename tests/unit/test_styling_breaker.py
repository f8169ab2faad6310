"""When a styler is worth a call."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from captioner.errors import (
    CaptionerError,
    StylerBlocked,
    StylerGarbled,
    StylerRefused,
    StylerUnavailable,
)
from worker.styling.breaker import Breaker

AWAY = StylerUnavailable("away")
USELESS = StylerGarbled("useless")
BLOCKED = StylerBlocked("not about this")
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


def test_it_takes_five_also_where_each_is_of_another_picture(breaker: Breaker) -> None:
    image(breaker)
    for _ in range(4):
        image(breaker, AWAY, missed=1)
        assert breaker.state == "closed"
    image(breaker, AWAY, missed=1)
    assert breaker.state == "open"


def test_twenty_useless_answers_open_it(breaker: Breaker) -> None:
    found = [image(breaker, USELESS) for _ in range(21)]
    assert found == ["called"] * 20 + ["styler_unavailable"]


def test_what_one_picture_was_answered_is_not_said_of_the_others(
    breaker: Breaker, clock: Clock
) -> None:
    for _ in range(20):
        image(breaker, StylerGarbled("The answer has no captions of: Witty."))
    assert breaker.trouble is not None
    assert "Witty" not in breaker.trouble.detail
    clock.now = 30.0
    assert image(breaker, USELESS) == "called"  # it tries, and is of no use again
    assert image(breaker) == "styler_unavailable"


def test_pictures_that_it_will_not_write_about_never_open_it(breaker: Breaker) -> None:
    assert [image(breaker, BLOCKED) for _ in range(50)] == ["called"] * 50
    assert breaker.state == "closed"
    for _ in range(19):
        image(breaker, USELESS)
    image(breaker, BLOCKED)
    assert breaker.state == "closed"
    image(breaker, USELESS)
    assert breaker.state == "open"


@pytest.mark.parametrize("about_one", [BLOCKED, StylerRefused("400")], ids=["blocked", "refused"])
def test_one_that_tries_and_is_refused_for_itself_alone_closes_it_for_the_others(
    breaker: Breaker, clock: Clock, about_one: CaptionerError
) -> None:
    image(breaker, REFUSED)
    clock.now = 30.0
    assert image(breaker, about_one) == "called"
    assert breaker.state == "closed"
    assert image(breaker) == "called"


@pytest.mark.parametrize("about_one", [BLOCKED, StylerRefused("400")], ids=["blocked", "refused"])
def test_those_who_wait_for_it_are_let_in_and_told_nothing_of_it(
    breaker: Breaker, about_one: CaptionerError
) -> None:
    async def first() -> None:
        async with breaker.admitted():
            await asyncio.sleep(0.05)
            raise about_one

    async def other() -> str:
        await asyncio.sleep(0.01)
        async with breaker.admitted():
            return "styled"

    async def together() -> list:
        return await asyncio.gather(first(), other(), other(), return_exceptions=True)

    assert asyncio.run(together()) == [about_one, "styled", "styled"]


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


def test_a_call_of_before_it_opened_does_not_close_it(breaker: Breaker, clock: Clock) -> None:
    image(breaker)  # it has answered before

    async def both() -> None:
        async with breaker.admitted():
            with suppress(StylerUnavailable):
                async with breaker.admitted():
                    raise StylerUnavailable("429", retry_after_s=60)
            assert breaker.state == "open"

    asyncio.run(both())
    assert breaker.state == "open"
    clock.now = 59.9
    assert image(breaker) == "styler_unavailable"
    clock.now = 60
    assert image(breaker) == "called"
    assert breaker.state == "closed"


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
