"""`make bench`, or `python -m benchmarks NAME`: run every benchmark, or one."""

import sys

from benchmarks import chat_prefix, engine, fairness, queue, service

BENCHMARKS = {
    "service": service.main,
    "engine": engine.main,
    "queue": queue.main,
    "chat-prefix": chat_prefix.main,
    "fairness": fairness.main,
}


def main() -> int:
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHMARKS)}")
        return 2
    for name in names:
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
