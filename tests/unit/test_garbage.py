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


def test_what_is_there_stays_and_later_cycles_still_go() -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, check=True
    )
    assert asked.stdout.split() == ["True", "True", "True", "True"]
