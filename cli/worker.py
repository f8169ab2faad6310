"""`captioner worker`: one worker alone."""

import os

import click

from captioner.broker import WEBHOOK_QUEUE
from captioner.catalog import queue_of
from captioner.settings import Settings
from cli.environment import configure
from cli.lifeline import end_with_parent


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
@click.option("--end-with-parent", "tied", is_flag=True, hidden=True)  # as a part of `up`
def worker(models: str | None, device: str | None, concurrency: int | None, tied: bool) -> None:
    """Run one worker alone, with Celery.

    It takes work from one queue for each of its models, and sends webhooks. SIGTERM lets the
    running batches end and hands the rest back. Start one worker for each GPU, with
    CUDA_VISIBLE_DEVICES set.
    """
    if tied:
        end_with_parent()
    settings = configure(models=models, device=device, worker_concurrency=concurrency)
    from worker.app import app

    app.worker_main(worker_arguments(settings))


def worker_arguments(settings: Settings) -> list[str]:
    """Celery's command line for one worker with those settings."""
    return [
        "worker",
        "--pool=threads",
        f"--concurrency={settings.concurrency}",
        f"--hostname=captioner@%h-{os.getpid()}",
        f"--queues={','.join([*map(queue_of, settings.served_models), WEBHOOK_QUEUE])}",
        f"--loglevel={settings.log_level}",
        "--without-mingle",
        "--without-gossip",
        "--task-events",
    ]
