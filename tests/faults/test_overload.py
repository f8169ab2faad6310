"""Fault row 39 in full: ten times what the service can do, for a minute. Prints the figures."""

from pathlib import Path

import pytest

from tests import overload, processes, stacks
from tests.empty import emptied

pytestmark = pytest.mark.long

SECONDS = 60.0
ROOM = 400
ACCEPTED_P99_S = 1.0
RACE = overload.CALLERS * overload.PER_REQUEST
"""Requests that are counted at the same moment may pass the limit by what they bring."""


@pytest.mark.parametrize("name", stacks.NAMES)
def test_ten_times_too_much_for_a_minute(name: str, tmp_path: Path) -> None:
    with stacks.started(name, tmp_path) as stack, emptied(stack, tmp_path) as own:
        environment = {**own.environment, **overload.room_for(ROOM)}
        with processes.service(environment, tmp_path) as base:
            seen = overload.press(base, seconds=SECONDS, pause_s=0.02)
            ends = overload.done(base, seen, timeout_s=60)
    taken = len(seen.accepted) * overload.PER_REQUEST
    print(
        f"\n{name}: {seen.offered} images offered, {taken} accepted "
        f"({seen.offered / taken:.1f} times too much), answers {dict(seen.statuses)}, "
        f"p99 of accepted {seen.p99_s():.2f} s, most queued {seen.most_queued} of {ROOM}, "
        f"ended {dict(ends)}"
    )
    assert set(seen.statuses) <= {202, 429, 503}
    assert seen.without_retry_after == 0
    assert ends == {"succeeded": len(seen.accepted)}
    assert seen.most_queued <= ROOM + RACE
    assert seen.p99_s() <= ACCEPTED_P99_S
