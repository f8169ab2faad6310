"""Two ways to serve the same weights over HTTP, on one machine: LitServe, and ours.

Both take a picture as base64 in JSON and answer with its caption. LitServe polls its queue all the
time, so its processes are stopped while others have their turn.
"""

import base64
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from captioner import schema
from captioner.settings import Settings
from tests import processes, stacks

Seconds = dict[str, float]


@dataclass(frozen=True)
class Contender:
    """A server that runs, and how to ask it for one caption."""

    name: str
    address: str
    path: str
    body: Callable[[bytes], bytes]
    caption: Callable[[dict], str]
    parts: Mapping[str, Callable[[], list[psutil.Process]]]
    """Its processes by what they do."""
    polls: bool = False

    def cpu_s(self) -> Seconds:
        """Processor seconds that each part has used."""
        return {name: sum(map(used_s, part())) for name, part in self.parts.items()}

    def signal(self, number: signal.Signals) -> None:
        """To every process of it."""
        for process in [process for part in self.parts.values() for process in part()]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Awake for the length of the block."""
        if self.polls:
            self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            if self.polls:
                self.signal(signal.SIGSTOP)


def idle(servers: Sequence[Contender], seconds: float = 5) -> float:
    """Share of a processor that they use when nobody asks anything of them."""
    before = sum(sum(server.cpu_s().values()) for server in servers)
    time.sleep(seconds)
    return (sum(sum(server.cpu_s().values()) for server in servers) - before) / seconds


def used_s(process: psutil.Process) -> float:
    """Processor seconds of a process; 0 when it has gone."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system
    return 0.0


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it started; none when it has gone."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


@contextmanager
def litserve(
    engine: str, weights: str, settings: Mapping[str, str], folder: Path, *, timeout_s: float
) -> Iterator[Contender]:
    """LitServe with `generate` or our engine, asleep until its turn."""
    port = str(processes.free_port())
    more = [engine, weights, port, settings["CAPTIONER_MAX_BATCH"], str(timeout_s)]
    command = [sys.executable, "-P", "-m", "benchmarks.litserve_server", *more]
    env = {**settings, "PYTHONPATH": str(processes.ROOT)}
    with processes.running(command, env, log=folder / f"litserve-{port}.log") as process:
        server = Contender(
            f"LitServe, {engine}, {settings['CAPTIONER_DTYPE']}",
            f"127.0.0.1:{port}",
            "/predict",
            lambda data: json.dumps({"image": base64.b64encode(data).decode()}).encode(),
            lambda answer: str(answer["caption"]),
            {"all": lambda: family(process.pid)},
            polls=True,
        )
        try:
            up = f"http://127.0.0.1:{port}/health"
            processes.until(lambda: processes.answers(up), what="LitServe", timeout_s=180)
            server.signal(signal.SIGSTOP)
            yield server
        finally:
            for each in family(process.pid):  # its children do not end with it
                each.kill()


@contextmanager
def ours(weights: str, settings: Mapping[str, str], folder: Path) -> Iterator[Contender]:
    """API, one worker, SQLite and Valkey, as `captioner up` starts them."""
    name = ", ".join(["captioner", *filter(None, [settings.get("CAPTIONER_DTYPE")])])
    home = folder / name.replace(", ", "-")
    home.mkdir()
    before = set(family(os.getpid()))
    with stacks.started("sqlite-valkey", home) as stack:
        schema.upgrade(Settings(database_url=stack.database_url))
        env = {
            **stack.environment,
            "CAPTIONER_MODEL": "measured",
            "CAPTIONER_MODELS": "measured",
            "CAPTIONER_MODEL_SOURCES": json.dumps({"measured": weights}),
            **settings,
        }
        with processes.service(env, home, timeout_s=180) as base:
            parts = roles(set(family(os.getpid())) - before)
            yield Contender(
                name,
                base.removeprefix("http://"),
                "/captionImageBlocking?timeout=300",
                _asked,
                lambda answer: str(answer["result"][0]),
                {role: lambda found=found: found for role, found in parts.items()},
            )


def _asked(data: bytes) -> bytes:
    # A bound that changes nothing: so a caption of noise, which repeats itself, is asked for once.
    asked = {"imgb64s": [base64.b64encode(data).decode()], "min_new_tokens": 1}
    return json.dumps(asked).encode()


def roles(started: set[psutil.Process]) -> dict[str, list[psutil.Process]]:
    """The processes of our service, by what they do."""
    parts: dict[str, list[psutil.Process]] = {"api": [], "worker": [], "decoders": [], "valkey": []}
    for process in started:
        command = process.cmdline()
        ends = {"api": "api", "worker": "worker"}.get(command[-1], "decoders")
        parts["valkey" if "valkey-server" in command[0] else ends].append(process)
    return parts
