"""Clients in full numbers: what `tests/integration/test_clients.py` does in short, with figures.

Rows 28 and 29 of the fault matrix, and the four hundred that wait at once. Every line printed is
one measured figure.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from captioner import schema
from tests import crowd, stacks
from tests.bystander import Bystander, bystander
from tests.integration.conftest import settings_of
from tests.integration.test_clients import SLOW, Api, finish_all
from tests.processes import until

pytestmark = pytest.mark.long

LEAVERS = 500
CLOSED_WITHIN_S = 30


@pytest.fixture(scope="module", params=["sqlite-valkey", "postgres-valkey"])
def api(request, tmp_path_factory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("clients")
    with stacks.started(request.param, folder) as stack:
        schema.upgrade(settings_of(stack))
        with crowd.api(stack.environment, folder) as (base, pid):
            made = Api(stack, base, pid)
            made.job()
            yield made
            made.database.close()


def say(what: str, other: Bystander | None = None) -> None:
    print(f"\n  {what}" + (f"; beside them: {other}" if other else ""))


@pytest.mark.parametrize("first", SLOW.values(), ids=SLOW)
def test_slow_senders(api, first) -> None:
    with bystander(api.base + api.job()) as other:
        clients = crowd.connect(api.base, 300, first)
        crowd.drip(clients, timeout_s=CLOSED_WITHIN_S)
    closed = [client.closed_after_s for client in clients]
    assert all(closed)
    say(f"300 slow senders: last one closed after {max(map(float, closed)):.1f} s", other)
    assert not other.faults
    assert other.p99_s < 1


@pytest.mark.parametrize("read", [crowd.sip, None], ids=["slowly", "not at all"])
def test_slow_readers(api, read) -> None:
    path = api.job(caption="x" * 1_500_000)
    with bystander(api.base + api.job()) as other:
        clients = crowd.connect(api.base, 200, crowd.get(path), buffer_bytes=4096)
        began = time.monotonic()
        until(lambda: crowd.connections(api.base) >= 200, what="connections")
        reader = threading.Thread(
            target=read or (lambda *_, **__: None), args=(clients,), kwargs={"timeout_s": 35}
        )
        reader.start()
        until(
            lambda: crowd.connections(api.base) <= 2,  # the bystander's
            what="end of connections",
            timeout_s=CLOSED_WITHIN_S,
        )
        say(f"200 slow readers: last one closed after {time.monotonic() - began:.1f} s", other)
        reader.join()
    crowd.close(clients)
    assert not other.faults
    assert other.p99_s < 1


def test_callers_that_leave(api) -> None:
    took_s = 0.0
    for _ in range(0, LEAVERS, 250):
        api.rest()
        clients = crowd.connect(api.base, 250, crowd.post("/captionImageBlocking?timeout=120"))
        until(lambda: crowd.threads(api.pid) >= 250, what="waiting threads")
        time.sleep(8)  # until their pictures are stored
        crowd.close(clients)
        took_s = max(took_s, api.rest())
    left, done = crowd.threads(api.pid), finish_all(api)
    say(f"{LEAVERS} callers left: {left} threads after {took_s:.1f} s; {done} of their jobs done")
    assert done == LEAVERS


def test_two_hundred_wait_two_hundred_stream_and_polling_is_quick(api) -> None:
    baseline_bytes = crowd.memory_bytes(api.pid)
    with bystander(api.base + api.job()) as other:
        waiting = crowd.connect(api.base, 200, crowd.post("/captionImageBlocking?timeout=120"))
        stream = crowd.post("/captionImage", accept="text/event-stream")
        streaming = crowd.connect(api.base, 200, stream)
        reader = threading.Thread(
            target=crowd.read_to_the_end, args=(waiting + streaming,), kwargs={"timeout_s": 120}
        )
        reader.start()
        time.sleep(15)
        grown = (crowd.memory_bytes(api.pid) - baseline_bytes) / 1e6
        threads = crowd.threads(api.pid)
        while reader.is_alive():
            api.finish(10)
            time.sleep(0.1)
    statuses = Counter(client.status for client in waiting)
    ended = sum(b"succeeded" in client.answer for client in streaming)
    say(f"200 wait: answers {dict(statuses)}; 200 stream: {ended} saw the end")
    say(f"400 at once: {threads} threads, {grown:+.0f} MB", other)
    assert statuses == {200: 200}
    assert ended == 200
    assert not other.faults
    assert other.median_s < 0.1


def test_one_more_than_the_places_is_told_so(api) -> None:
    asked = 2 * 400 + 100
    clients = crowd.connect(api.base, asked, crowd.post("/captionImageBlocking?timeout=25"))
    crowd.read_to_the_end(clients, timeout_s=100)
    statuses = Counter(client.status for client in clients)
    say(f"{asked} want to wait in {2 * 400} places: answers {dict(statuses)}")
    assert set(statuses) == {202, 503}
    for client in clients:
        assert client.body["urls"]["self"].startswith("/captionImage/")
    assert finish_all(api) == asked
