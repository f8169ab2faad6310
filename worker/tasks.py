"""What a message asks for. Its arguments are ids, and nothing else."""

from uuid import UUID

from celery.exceptions import Reject

from captioner.broker import CAPTION_TASK
from worker import runtime
from worker.app import app


@app.task(name=CAPTION_TASK)  # type: ignore[untyped-decorator] # celery has no types
def caption(job_id: str, positions: list[int]) -> None:
    """Caption those images of the job that are still free."""
    worker = runtime.current()
    if worker.draining:
        raise Reject("this worker is draining", requeue=True)
    worker.pipeline.run(UUID(job_id), [int(position) for position in positions])
