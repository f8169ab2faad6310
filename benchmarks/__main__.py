"""`make bench`, or `python -m benchmarks NAME [--short]`: run every benchmark, or one.

`--short` runs each line once, and keeps no result.
"""

import sys
from importlib import import_module

ALL = (
    "service",
    "engine",
    "queue",
    "fairness",
    "listing",
    "chat-prefix",
    "decode",
    "profile",
    "litserve",
    "memory",
    "access",
)
BY_NAME = (*ALL, "gpu")
"""`gpu` needs a GPU, and only torch, transformers, numpy and pillow: nothing is imported before."""
KNOW_SHORT = ("litserve", "memory", "gpu", "access")


def main() -> int:
    short = "--short" in sys.argv
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    unknown = sorted(set(names) - set(BY_NAME))
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(BY_NAME)}")
        return 2
    for name in names or (KNOW_SHORT if short else ALL):
        import_module(f"benchmarks.{name.replace('-', '_')}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
