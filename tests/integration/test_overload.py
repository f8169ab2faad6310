"""Too much is refused in a way that tells when to come back; what was accepted is done."""

from tests import overload, processes
from tests.empty import emptied


def test_under_overload_what_is_accepted_is_done(stack, tmp_path) -> None:
    with emptied(stack, tmp_path) as own:
        environment = {**own.environment, **overload.room_for(48)}
        with processes.service(environment, tmp_path) as base:
            seen = overload.press(base, seconds=60, refusals=20)
            ends = overload.done(base, seen, timeout_s=120)
    print(f"{own.name}: {dict(seen.statuses)}, p99 {seen.p99_s():.2f} s, ended {dict(ends)}")
    assert seen.statuses[429] > 0
    assert set(seen.statuses) <= {202, 429, 503}
    assert seen.without_retry_after == 0
    assert ends == {"succeeded": len(seen.accepted)}
