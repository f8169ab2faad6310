"""Which GPUs there are, as PyTorch sees them: asked in a process of its own, that loads it."""

import json
import re

import click

from captioner.settings import Settings
from cli import apart
from cli.environment import configure

ASK = """
import json, os, torch
print(json.dumps([torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")]))
"""
ASK_TIMEOUT_S = 120
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9/-]*")
WHAT_TO_DO = (
    "`nvidia-smi` shows whether the driver sees one; PyTorch must be a CUDA build that fits it, "
    "and CUDA_VISIBLE_DEVICES must not hide it. Without a GPU, run one worker: captioner worker"
)


def chosen(given: str | None, settings: Settings) -> list[str]:
    """The GPUs that have a worker each: those that are given, or else all that are visible.

    From now on the workers' device is a GPU, unless the operator said otherwise: one that does not
    answer is not to become a processor. Raises ClickException.
    """
    if settings.device.startswith("cuda:"):
        raise click.UsageError(
            f"Each worker sees one GPU, so the device {settings.device} is not there: leave it out."
        )
    if settings.device == "auto":
        configure(device="cuda")
    return listed(given) if given else visible()


def visible() -> list[str]:
    """The name of each GPU that a program started now would see, as CUDA_VISIBLE_DEVICES has it.

    Raises ClickException when there is none, or PyTorch cannot be asked.
    """
    asked = apart.run(ASK, timeout_s=ASK_TIMEOUT_S)
    last = (asked.stderr.strip().splitlines() or [""])[-1]
    if asked.returncode:
        raise click.ClickException(f"PyTorch cannot be asked for its GPUs: {last}")
    count, named = json.loads(asked.stdout.splitlines()[-1])
    if count == 0:
        why = f" ({last})" if last else ""
        raise click.ClickException(f"PyTorch sees no GPU{why}. {WHAT_TO_DO}")
    return names(count, named)


def names(count: int, named: str | None) -> list[str]:
    """What to call each of `count` GPUs where CUDA_VISIBLE_DEVICES is `named`."""
    if named is None:
        return [str(number) for number in range(count)]
    return [name.strip() for name in named.split(",")][:count]


def listed(text: str) -> list[str]:
    """The names in `--gpus`: numbers or UUIDs. Raises BadParameter."""
    found = [name.strip() for name in text.split(",")]
    wrong = [name for name in found if not NAME.fullmatch(name)]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is no number or UUID of a GPU.")
    if len(set(found)) < len(found):
        raise click.BadParameter("a GPU is named twice.")
    return found
