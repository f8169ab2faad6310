"""The cycles that Python's collector looks for: rarely, and not among what stays for good."""

import gc

YOUNG = 10_000
"""Objects that may come, more than went, before it looks through those. By default 700, which work
on one picture makes: it then looked, in vain, for a twentieth of a worker's time."""


def look_rarely() -> None:
    """To be called once a process has loaded what stays, and before it loads what may go."""
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 10)


def collect_all() -> None:
    """Look through everything, also among what was there from the beginning: something large goes,
    such as a model that was loaded before this process looked rarely.
    """
    rarely = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if rarely:
        gc.freeze()
