"""The collector looks rarely, and not through what stays."""

import subprocess
import sys

ASKED = """
import gc
from captioner import garbage
there = len(gc.get_objects())
garbage.look_rarely()
print(gc.get_freeze_count() >= there // 2, len(gc.get_objects()) < there // 2, gc.isenabled())
class Node: pass
import weakref
node = Node(); node.self = node; seen = weakref.ref(node); del node
for _ in range(3 * garbage.YOUNG): held = [Node() for _ in range(2)]
kept = [Node() for _ in range(2 * garbage.YOUNG)]
print(seen() is None)
"""
EVICTED = """
import gc, weakref
from captioner import garbage
class Node: pass
node = Node(); node.self = node; seen = weakref.ref(node)
garbage.look_rarely()
del node
gc.collect()
print(seen() is not None)
garbage.collect_all()
print(seen() is None, gc.get_freeze_count() > 0)
"""


def printed(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_what_is_there_stays_and_later_cycles_still_go() -> None:
    assert printed(ASKED) == {"True"}


def test_what_was_there_goes_once_everything_is_looked_through() -> None:
    assert printed(EVICTED) == {"True"}
