"""Ctrl-C that cannot get lost: a library may swallow the exception, but not the fact."""

import signal
from types import FrameType

_asked = False


def install(*numbers: signal.Signals) -> None:
    """Let each signal raise `KeyboardInterrupt`, and be remembered, unless it is ignored."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup has it ignored: so it stays
            signal.signal(number, _ask)


def check() -> None:
    """Raise `KeyboardInterrupt` if one of the signals has come. Call it in every long loop."""
    if _asked:
        raise KeyboardInterrupt


def _ask(_number: int, _frame: FrameType | None) -> None:
    global _asked
    _asked = True
    raise KeyboardInterrupt
