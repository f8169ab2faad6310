"""The day's pictures of an account, counted in a real Redis that may be away."""

import threading
from collections.abc import Iterator

import pytest
import redis
from uuid_utils.compat import uuid7

from captioner.access import limits as limits_module
from captioner.access.limits import Limits, of_a_day
from captioner.access.quota import Quota
from captioner.errors import QuotaExceeded
from captioner.settings import Settings
from tests.faults.wire import Proxy
from tests.integration.conftest import settings_of
from tests.stacks import Stack

LIMIT = 100


@pytest.fixture
def wire(stack: Stack) -> Iterator[Proxy]:
    """Between the counting and Redis."""
    address = redis.ConnectionPool.from_url(stack.environment["CAPTIONER_REDIS_URL"])
    where = address.connection_kwargs
    with Proxy((where["host"], where["port"])) as proxy:
        yield proxy


@pytest.fixture
def settings(stack: Stack, wire: Proxy) -> Settings:
    return settings_of(stack, redis_url=f"redis://127.0.0.1:{wire.port}/0")


def left(limits: Limits, account: str) -> int:
    return limits.look(of_a_day(LIMIT), f"images:{account}").remaining


def test_what_is_too_much_keeps_nobody_else_out(settings: Settings) -> None:
    quota, account = Quota(Limits(settings), images_per_day=LIMIT), uuid7().hex
    stop, refused = threading.Event(), []

    def greedy() -> None:
        while not stop.is_set():
            with pytest.raises(QuotaExceeded), quota.taken(account, LIMIT + 1):
                pass

    thread = threading.Thread(target=greedy)
    thread.start()
    for _ in range(LIMIT):
        try:
            with quota.taken(account, 1):
                pass
        except QuotaExceeded as error:
            refused.append(error)
    stop.set()
    thread.join()
    assert refused == []
    assert left(Limits(settings), account) == 0


def test_many_at_once_get_no_more_than_there_is(settings: Settings) -> None:
    quota, account, let_in = Quota(Limits(settings), images_per_day=LIMIT), uuid7().hex, []

    def ask() -> None:
        for _ in range(20):
            try:
                with quota.taken(account, 3):
                    let_in.append(3)
            except QuotaExceeded:
                pass

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert LIMIT - 8 * 3 <= sum(let_in) <= LIMIT
    assert left(Limits(settings), account) == LIMIT - sum(let_in)


@pytest.mark.parametrize("away_at_first", [True, False])
def test_what_was_refused_is_given_back_where_it_was_counted(
    settings: Settings, wire: Proxy, monkeypatch: pytest.MonkeyPatch, away_at_first: bool
) -> None:
    monkeypatch.setattr(limits_module, "AWAY_S", 0)  # it is asked again at once
    limits, account = Limits(settings), uuid7().hex
    quota = Quota(limits, images_per_day=LIMIT)

    def swallow(silent: bool) -> None:
        wire.silent = silent
        wire.cut()

    with quota.taken(account, 60):
        pass
    swallow(away_at_first)
    with quota.taken(account, 90 if away_at_first else 30) as give_back:
        swallow(not away_at_first)
        give_back()
    swallow(False)
    assert left(limits, account) == (40 if away_at_first else 10)
