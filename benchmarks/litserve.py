"""The same load on LitServe and on our service, in one run, with the same weights.

A few callers, each with a connection of its own, send one picture at a time and wait for its
caption. The servers take turns. LitServe runs transformers' `generate`, as its documentation shows,
and then our engine, which tells the price of a queue from that of a network. Ours writes every
picture and every state to a database before and after, LitServe nothing.
"""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from benchmarks import contenders, noise
from benchmarks.contenders import Contender, Seconds
from benchmarks.report import heading, keep
from captioner.catalog import SCENES_FOLDER
from tests.pictures import png, scenes

TIMEOUT_S = 0.01
"""LitServe's `batch_timeout`. Our batcher never waits: it takes what came while the last batch ran.
"""


@dataclass(frozen=True)
class Load:
    """What is asked of each server."""

    name: str
    batch: int
    clients: int
    rounds: int
    pictures: int
    """In each round."""
    warm: int
    """Before the clock runs, in each round."""
    width: int = 320


SCENES = Load("scenes", batch=16, clients=32, rounds=3, pictures=480, warm=64)
ALONE = Load("scenes", batch=16, clients=1, rounds=3, pictures=60, warm=8)
BASE = Load("BLIP-base", batch=8, clients=16, rounds=2, pictures=24, warm=8, width=640)
SHORT = Load("scenes", batch=4, clients=4, rounds=1, pictures=8, warm=8)


@dataclass
class Found:
    """What was measured of one server."""

    seconds: float = 0.0
    waits_ms: list[float] = field(default_factory=list)
    cpu_s: Seconds = field(default_factory=dict)
    captions: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Pictures."""
        return len(self.waits_ms) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """The wait that this share of the callers did not exceed."""
        ordered = sorted(self.waits_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def drive(server: Contender, pictures: Sequence[bytes], clients: int) -> tuple[list[float], list]:
    """Milliseconds until each caption, and the captions."""
    bodies = [server.body(data) for data in pictures]
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in range(len(pictures)):
        waiting.put(number)
    found: dict[int, tuple[float, str]] = {}

    def call(_: int) -> None:
        connection = http.client.HTTPConnection(server.address, timeout=300)
        while not waiting.empty():
            number = waiting.get()
            started = time.perf_counter()
            kind = {"Content-Type": "application/json"}
            connection.request("POST", server.path, bodies[number], kind)
            answer = connection.getresponse()
            said = answer.read()
            waited = (time.perf_counter() - started) * 1e3
            assert answer.status == 200, (server.name, answer.status, said[:500])
            found[number] = waited, server.caption(json.loads(said))

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(call, range(clients)))
    ordered = [found[number] for number in range(len(pictures))]
    return [waited for waited, _ in ordered], [caption for _, caption in ordered]


def measured(servers: Sequence[Contender], load: Load) -> dict[str, Found]:
    """Each server in turn, round after round; each round with pictures of its own."""
    every = iter(drawn(load))
    warm = list(islice(every, load.warm))
    found = {server.name: Found() for server in servers}
    for _ in range(load.rounds):
        pictures = list(islice(every, load.pictures))
        for server in servers:
            with server.turn():
                drive(server, warm, load.clients)
                one(server, pictures, load, found[server.name])
    return found


def one(server: Contender, pictures: Sequence[bytes], load: Load, found: Found) -> None:
    """One turn."""
    before, started = server.cpu_s(), time.perf_counter()
    waits, captions = drive(server, pictures, load.clients)
    found.seconds += time.perf_counter() - started
    found.waits_ms += waits
    found.captions += captions
    for name, used in server.cpu_s().items():
        found.cpu_s[name] = found.cpu_s.get(name, 0) + used - before[name]


def drawn(load: Load) -> Iterator[bytes]:
    """Pictures, no two of them the same."""
    count = load.warm + load.rounds * load.pictures
    return (png(scene, load.width, load.width * 3 // 4) for scene in scenes(count, seed=12))


def table(load: Load, found: dict[str, Found]) -> list[str]:
    """The rows of one load, with ratios of each of ours to each of theirs."""
    lines = [
        f"## {load.name}: {load.clients} callers, batches of at most {load.batch}, "
        f"{load.rounds} rounds of {load.pictures}",
        f"{'':32} {'images/s':>9} {'p50 ms':>8} {'p99 ms':>8}  processor ms per image",
    ]
    for name, each in found.items():
        used = {part: seconds / len(each.waits_ms) * 1e3 for part, seconds in each.cpu_s.items()}
        lines.append(
            f"{name:32} {each.per_second:>9.2f} {each.quantile_ms(0.5):>8.0f} "
            f"{each.quantile_ms(0.99):>8.0f}  "
            + ", ".join(f"{part} {cost:.1f}" for part, cost in used.items())
        )
    lines += [
        f"{mine} against {its}: {found[mine].per_second / found[its].per_second:.2f} times the "
        f"images/s, p50 {found[mine].quantile_ms(0.5) / found[its].quantile_ms(0.5):.2f} and "
        f"p99 {found[mine].quantile_ms(0.99) / found[its].quantile_ms(0.99):.2f} times as long"
        for mine in found
        for its in found
        if mine.startswith("captioner") and its.startswith("LitServe")
    ]
    exact = [each.captions for name, each in found.items() if name.endswith("float32")]
    same = statistics.mean(len({*captions}) == 1 for captions in zip(*exact, strict=True))
    return [*lines, f"captions that are the same from all in float32: {same:.1%}", ""]


def compared(weights: str, loads: Sequence[Load], formats: Sequence[str]) -> list[str]:
    """The lines of one model. `formats` are ours; theirs is float32, as they show it."""
    settings = {
        "CAPTIONER_MAX_BATCH": str(loads[0].batch),
        "CAPTIONER_DTYPE": "float32",
        "CAPTIONER_DEVICE": "cpu",
    }
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)

        def litserve(engine: str, chosen: dict[str, str]) -> Contender:
            server = contenders.litserve(engine, weights, chosen, folder, timeout_s=TIMEOUT_S)
            return stack.enter_context(server)

        servers = [litserve("generate", settings)]
        for each in formats:
            chosen = settings | {"CAPTIONER_DTYPE": each}
            servers.append(litserve("ours", chosen))
            servers.append(stack.enter_context(contenders.ours(weights, chosen, folder)))
        idle = contenders.idle([server for server in servers if not server.polls])
        lines = [f"ours, without work, use {idle:.1%} of a processor", ""]
        return [*lines, *(line for load in loads for line in table(load, measured(servers, load)))]


def main() -> None:
    """Measure, print and keep."""
    if "--short" in sys.argv:
        lines = compared(str(SCENES_FOLDER), [SHORT], ["float32"])
    else:
        lines = compared(str(SCENES_FOLDER), [SCENES, ALONE], ["float32"])
        with tempfile.TemporaryDirectory() as name:
            weights = str(noise.save(Path(name)))
            lines += compared(weights, [BASE], ["float32", "bfloat16"])
    settings: dict[str, object] = {
        "batch_timeout_s": TIMEOUT_S, "api_processes": 2, "database": "sqlite", "broker": "valkey"
    }  # fmt: skip
    more = ("celery", "litserve", "openvino")
    keep("litserve", heading("The same load on LitServe", settings, more=more) + "\n".join(lines))
