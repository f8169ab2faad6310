"""What a message asks for. Its arguments are ids, and nothing else."""

from uuid import UUID

from celery.exceptions import Reject

from captioner.broker import CAPTION_AGAIN_TASK, CAPTION_TASK, STYLE_TASK, WEBHOOK_TASK
from captioner.errors import DatabaseUnavailable, ShuttingDown
from worker import runtime
from worker.app import app

PAUSE_S = 1.0
"""How long a message is kept from the other workers when this one cannot load its model."""


@app.task(name=CAPTION_TASK)  # type: ignore[untyped-decorator] # celery has no types
def caption(
    job_id: str,
    positions: list[int],
    model: str,
    beside: dict[str, list[int]] | None = None,
    to_fetch: bool = False,
) -> None:
    """Caption as many images of the model as the message names: those that are next in line.

    `beside`: those of further jobs, by position. `to_fetch`: there are pictures by URL among them.
    """
    others = [position for named in (beside or {}).values() for position in named]
    _work(job_id, [*positions, *others], model, again=False, to_fetch=to_fetch)


@app.task(name=CAPTION_AGAIN_TASK)  # type: ignore[untyped-decorator] # celery has no types
def caption_again(job_id: str, positions: list[int], model: str) -> None:
    """Caption these images, whose attempt was lost: one at a time in this process."""
    _work(job_id, positions, model, again=True)


def _work(
    job_id: str, positions: list[int], model: str, *, again: bool, to_fetch: bool = False
) -> None:
    worker = runtime.current()
    if worker.draining.is_set():
        raise Reject("this worker is draining", requeue=True)
    try:
        if worker.house.waits_for(model):
            worker.draining.wait(PAUSE_S)
            raise Reject("the model is not loaded yet", requeue=True)
        if again:
            named = [int(n) for n in positions]
            worker.fetching.again(UUID(job_id), named, model=model)
            worker.pipeline.run_again(UUID(job_id), named, model=model)
        else:
            if to_fetch:
                worker.fetching.begin(model)
            worker.pipeline.run(model, limit=len(positions))
    except (DatabaseUnavailable, ShuttingDown) as error:
        raise Reject(error.detail, requeue=True) from error


@app.task(name=STYLE_TASK)  # type: ignore[untyped-decorator] # celery has no types
def style(_job_id: str, _positions: list[int]) -> None:
    """Style what is next in line: in threads of its own, not in this one."""
    worker = runtime.current()
    if worker.draining.is_set():
        raise Reject("this worker is draining", requeue=True)
    for studio in worker.studios.values():
        studio.begin()


@app.task(name=WEBHOOK_TASK)  # type: ignore[untyped-decorator] # celery has no types
def webhook(delivery_id: str) -> None:
    """Make one attempt of a delivery, if it is due: in a thread of its own, not in this one."""
    worker = runtime.current()
    if worker.draining.is_set():
        raise Reject("this worker is draining", requeue=True)
    worker.mailroom.take(UUID(delivery_id))
