"""`captioner worker`: one worker alone, or one for each GPU."""

import os
from math import ceil

import click

from captioner import logs
from captioner.broker import STYLE_QUEUE, WEBHOOK_QUEUE
from captioner.catalog import queue_of
from captioner.settings import Settings
from cli import preflight, valkey
from cli.environment import configure
from cli.lifeline import end_with_parent
from cli.parts import TIED, captioner_command

OTHER_QUEUES = (WEBHOOK_QUEUE, STYLE_QUEUE)
"""Of work that needs no model."""


@click.command()
@click.option(
    "--models", metavar="A,B", help="Models that this worker serves.  [default: blip,scenes]"
)
@click.option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N.  [default: auto]")
@click.option(
    "--concurrency",
    type=int,
    metavar="N",
    help="Task threads, at least twice the batch size.  [default: twice the batch size]",
)
@click.option("--per-gpu", is_flag=True, help="Run one worker for each GPU that is visible.")
@click.option("--gpus", metavar="0,1", help="Run one worker for each of these GPUs.")
@click.option(TIED, "tied", is_flag=True, hidden=True)  # as a part of `up`, or of one for each GPU
def worker(
    models: str | None,
    device: str | None,
    concurrency: int | None,
    per_gpu: bool,
    gpus: str | None,
    tied: bool,
) -> None:
    """Run one worker alone, with Celery, or one for each GPU.

    It takes work from one queue for each of its models, sends webhooks and asks stylers. SIGTERM
    lets the running batches end and hands the rest back.

    With --per-gpu, each GPU that CUDA_VISIBLE_DEVICES leaves visible has a worker of its own, which
    sees no other. One that ends is started again. Ctrl-C and SIGTERM end them all.
    """
    if tied:
        end_with_parent()
    given = configure(models=models, device=device, worker_concurrency=concurrency)
    preflight.refuse_unknown_models(given)
    settings = valkey.use_running(given)
    if per_gpu or gpus:
        raise click.exceptions.Exit(_one_for_each(gpus, settings))
    from worker.app import app

    logs.configure(settings.log_level, settings.log_format)  # Celery warns before it does
    app.worker_main(worker_arguments(settings))


def _one_for_each(given: str | None, settings: Settings) -> int:
    from cli import gpus
    from cli.crew import Crew

    found = gpus.chosen(given, settings)
    command = captioner_command("worker", TIED)
    return Crew(found, command=command, stop_s=ceil(settings.drain_s) + 5).run()


def worker_arguments(settings: Settings) -> list[str]:
    """Celery's command line for one worker with those settings."""
    return [
        *(["--quiet"] if logs.as_json(settings.log_format) else []),  # no banner among the lines
        "worker",
        "--pool=threads",
        f"--concurrency={settings.concurrency}",
        f"--hostname=captioner@%h-{os.getpid()}",
        f"--queues={','.join([*map(queue_of, settings.served_models), *OTHER_QUEUES])}",
        f"--loglevel={settings.log_level}",
        "--without-mingle",
        "--without-gossip",
        "--task-events",
    ]
