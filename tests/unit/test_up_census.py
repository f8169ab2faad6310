"""Parts that end again and again are told of, and given up in the end."""

from cli.census import Census
from cli.supervision import Part


def part(*, pid: int, started: int) -> Part:
    return Part(name="worker-1", state="RUNNING", pid=pid, started=started, exit_status=0)


def test_a_restart_is_told_once() -> None:
    census = Census()
    assert census.look([part(pid=10, started=100)]) == []
    assert census.look([part(pid=0, started=100)]) == []
    (restart,) = census.look([part(pid=11, started=101)])
    assert (restart.name, restart.pid) == ("worker-1", 11)
    assert census.look([part(pid=11, started=101)]) == []


def test_a_part_that_ends_three_times_is_hopeless() -> None:
    census = Census()
    for started in (100, 101, 103):
        census.look([part(pid=0, started=started)])
        assert census.hopeless() is None
    census.look([part(pid=0, started=106)])
    assert census.hopeless() == "worker-1"
