"""Which stylers nobody has had for long."""

from captioner.styles import Styler
from models import Worker
from worker.styling.absence import Absence


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def having(*stylers: str, draining: bool = False) -> Worker:
    return Worker(stylers=dict.fromkeys(stylers, "open"), draining=draining)


def test_what_nobody_has_is_absent_once_it_was_looked_for_long() -> None:
    clock = Clock()
    absence = Absence(clock)
    clock.now = 9.0
    assert absence.longer_than(10) == []
    clock.now = 10.0
    assert absence.longer_than(10) == list(Styler)


def test_the_time_begins_anew_whenever_somebody_has_it() -> None:
    clock = Clock()
    absence = Absence(clock)
    for clock.now in (5.0, 10.0, 15.0):
        absence.look([having("gemini"), having("local", draining=True), Worker(draining=False)])
    assert absence.longer_than(10) == [Styler.OPENAI, Styler.LOCAL]
    clock.now = 24.9
    absence.look([])
    assert Styler.GEMINI not in absence.longer_than(10)
    clock.now = 25.0
    assert Styler.GEMINI in absence.longer_than(10)
