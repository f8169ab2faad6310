"""Where the time of the queue goes, by py-spy: the API and the worker while jobs are sent.

Samples of whoever holds the interpreter's lock, by the part of the code that the stack is in; and
the processor time of each kind of process for each picture. The tables go to `profile.md`.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.queue import CONNECTIONS, Place, per_second, serving
from benchmarks.report import RESULTS, commit, processor

STACK = "sqlite-valkey"
SECONDS, RATE = 10, 200
API = {
    "looking at the line and the workers": ("Lookout._look",),
    "storing jobs": ("Storing._store",),
    "files on the disk": ("BlobStore.",),
    "reading the request": ("read_submission",),
    "looking at the headers of pictures": ("inspect (",),
    "captions that are remembered": ("recalled (",),
    "sending messages": ("Publisher._relay",),
    "the rest of an answer: Flask, gunicorn": ("Threads._work", "serve ("),
}
WORKER = {
    "claiming": ("take (",),
    "storing results": ("Settling._settle",),
    "the engine's batches": ("Batcher.",),
    "decoding": ("DecodeLane.", "pebble"),
    "Celery: messages, acknowledgements, events": ("Consumer.start",),
    "the way of each picture": ("Pipeline.",),
    "chores: heartbeat, reconciler and others": ("Keeper.",),
}
OTHER = "all else"


def kind(process: psutil.Process) -> str | None:
    """What a process of ours is there for."""
    command = " ".join(process.cmdline())
    if "spawn" in command:
        return "decoders"
    for word, name in (("free_worker", "worker"), ("valkey", "valkey"), (" api", "api")):
        if word in command:
            return name
    return None


def processes_by_kind() -> dict[str, list[psutil.Process]]:
    """All that this one has started."""
    found: dict[str, list[psutil.Process]] = {}
    for process in psutil.Process().children(recursive=True):
        name = kind(process)
        if name is not None:
            found.setdefault(name, []).append(process)
    return found


def cpu_s(found: dict[str, list[psutil.Process]]) -> dict[str, float]:
    """Processor seconds of each kind, and of the client that this is."""
    used = {name: sum(sum(each.cpu_times()[:2]) for each in some) for name, some in found.items()}
    return used | {"client": sum(psutil.Process().cpu_times()[:2])}


def spied(pid: int, raw: Path) -> subprocess.Popen[bytes]:
    """py-spy, for so many seconds."""
    tool = str(Path(sys.executable).with_name("py-spy"))
    options = ["-d", str(SECONDS), "-r", str(RATE), "-f", "raw", "-o", str(raw), "--gil"]
    return subprocess.Popen(
        [tool, "record", *options, "-p", str(pid)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def by_part(raw: Path, parts: dict[str, tuple[str, ...]]) -> list[tuple[str, float]]:
    """Shares of the samples, the largest first. A sample counts for the first part that fits."""
    found: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        fits = (name for name, marks in parts.items() if any(mark in stack for mark in marks))
        found[next(fits, OTHER)] += int(count)
    return [(name, count / found.total()) for name, count in found.most_common()]


@dataclass(frozen=True)
class Load:
    """Jobs of so many pictures, and how many of them are sent at once."""

    name: str
    images: int
    jobs: int

    def flood(self, place: Place) -> float:
        """Send them from all connections until all have ended. Returns pictures per second."""
        return per_second(place, self.jobs, self.images)


LOADS = (Load("jobs of one picture", 1, 1_200), Load("jobs of 32", 32, 100))


def measured(place: Place, load: Load, folder: Path) -> str:
    """The table of one load."""
    load.flood(place)
    found = processes_by_kind()
    before = cpu_s(found)
    rate = load.flood(place)
    images = load.jobs * load.images
    cost = {name: (used - before[name]) / images * 1e3 for name, used in cpu_s(found).items()}
    raws = {name: folder / f"{name}-{load.images}" for name in ("api", "worker")}
    spies = [spied(found[each][-1 if each == "api" else 0].pid, raw) for each, raw in raws.items()]
    time.sleep(1)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        load.flood(place)
    for spy in spies:
        spy.wait()
    shares = {"api": by_part(raws["api"], API), "worker": by_part(raws["worker"], WORKER)}
    return _table(load, rate, cost, shares)


def main() -> None:
    """Measure, print and keep."""
    with (
        tempfile.TemporaryDirectory() as name,
        serving(STACK, CAPTIONER_CACHE_TTL_S="3600") as place,
    ):
        tables = [measured(place, load, Path(name)) for load in LOADS]
    text = f"`python -m benchmarks profile`, commit {commit()}, {processor()}, {STACK}.\n\n"
    text += "\n".join(tables)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "profile.md").write_text(text)


def _table(
    load: Load, rate: float, cost: dict[str, float], shares: dict[str, list[tuple[str, float]]]
) -> str:
    costs = ", ".join(f"{name} {ms:.2f}" for name, ms in sorted(cost.items(), key=lambda c: -c[1]))
    lines = [
        f"{load.name.capitalize()} from {CONNECTIONS} connections: {rate:.0f} pictures a second. "
        f"Processor time of each, in milliseconds: {costs}; {sum(cost.values()):.2f} in all.",
        "",
        "| Process | Part | Share of its samples |",
        "|---|---|---|",
    ]
    for name, parts in shares.items():
        lines += [f"| {name} | {part} | {share:.0%} |" for part, share in parts if share >= 0.01]
    return "\n".join([*lines, ""])
