"""`make bench`, or `python -m benchmarks [NAME ...] [--short]`: run all benchmarks, or those named.

Nothing but the standard library is imported before: `gpu` needs only torch, transformers, numpy and
pillow.
"""

import argparse
import sys
from importlib import import_module

BENCHMARKS = {
    "service": "the engine alone, and through the whole service",
    "engine": "BLIP-base in its real size: the usual call, and ours",
    "queue": "the whole service around an engine that costs nothing",
    "fairness": "single pictures beside a job of 10,000",
    "listing": "lists and statistics over a million jobs",
    "chat-prefix": "what reusing the system prompt would save",
    "decode": "what CAPTIONER_FAST_DECODE saves, and what it changes",
    "profile": "where the time of the queue goes, by py-spy",
    "litserve": "the same load on LitServe, and on ours",
    "memory": "what the processes hold over 10,000 pictures",
    "access": "what keys, limits and headers cost a request",
    "gpu": "BLIP-base on one GPU, or its short form on a processor",
}
KNOW_SHORT = ("litserve", "memory", "gpu", "access")
ALL = tuple(name for name in BENCHMARKS if name != "gpu")


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {name:12} {text}" for name, text in BENCHMARKS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure, print, and keep what was printed in benchmarks/results.",
        epilog="\n".join(["benchmarks:", *lines, "", "Without a name: all but gpu."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a benchmark, as listed below")
    parser.add_argument(
        "--short", action="store_true", help="run each line once and keep no result, where it can"
    )
    parser.add_argument("--device", metavar="cuda:0", help="of gpu: where to run")
    parser.add_argument("--profile", action="store_true", help="of gpu: the kernels' times, too")
    return parser


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are: {', '.join(BENCHMARKS)}")
    for name in asked.names or (KNOW_SHORT if asked.short else ALL):
        import_module(f"benchmarks.{name.replace('-', '_')}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
