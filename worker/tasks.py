"""What a message asks for. Its arguments are ids, and nothing else."""

from uuid import UUID

from celery.exceptions import Reject

from captioner.broker import CAPTION_AGAIN_TASK, CAPTION_TASK
from captioner.errors import DatabaseUnavailable
from worker import runtime
from worker.app import app


@app.task(name=CAPTION_TASK)  # type: ignore[untyped-decorator] # celery has no types
def caption(job_id: str, positions: list[int]) -> None:
    """Caption those images of the job that are still free, none of which was tried before."""
    _work(job_id, positions, again=False)


@app.task(name=CAPTION_AGAIN_TASK)  # type: ignore[untyped-decorator] # celery has no types
def caption_again(job_id: str, positions: list[int]) -> None:
    """Caption images whose attempt was lost: one at a time in this process."""
    _work(job_id, positions, again=True)


def _work(job_id: str, positions: list[int], *, again: bool) -> None:
    worker = runtime.current()
    if worker.draining.is_set():
        raise Reject("this worker is draining", requeue=True)
    try:
        worker.pipeline.run(UUID(job_id), [int(n) for n in positions], again=again)
    except DatabaseUnavailable as error:
        raise Reject(error.detail, requeue=True) from error
