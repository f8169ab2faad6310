"""The Celery application of the workers, and of Flower. Importing it loads no torch."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import (
    setup_logging,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from captioner import logs
from captioner.broker import celery_app
from captioner.errors import CaptionerError
from captioner.settings import load
from worker import runtime

log = logging.getLogger(__name__)

app = celery_app(load())
app.conf.imports = ("worker.tasks",)
app.set_current()
app.set_default()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log(**_: Any) -> None:
    # A receiver here keeps Celery from setting up its own.
    logs.configure(load().log_level, load().log_format)


@contextmanager
def _vital() -> Iterator[None]:
    """End the process when the block fails: Celery would only log it, and run on, useless."""
    try:
        yield
    except CaptionerError as error:  # what an operator can mend needs no traceback
        log.critical("The worker cannot start: %s", error.detail, extra={"action": "start_failed"})
        os._exit(1)
    except BaseException:
        log.critical("The worker cannot start.", exc_info=True, extra={"action": "start_failed"})
        os._exit(1)


# `worker_process_init` is not sent under the threads pool.
@worker_init.connect  # type: ignore[untyped-decorator] # celery has no types
def _prepare(sender: Any = None, **_: Any) -> None:
    logs.configure(load().log_level, load().log_format)  # Celery sets up logging later than this
    with _vital():
        runtime.build(load(), name=str(getattr(sender, "hostname", "worker")))
        runtime.current().prepare()  # the first messages come before Celery says `worker_ready`


@worker_ready.connect  # type: ignore[untyped-decorator]
def _ready(**_: Any) -> None:
    with _vital():
        runtime.current().start()


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _draining(**_: Any) -> None:
    runtime.current().drain()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _stopped(**_: Any) -> None:
    runtime.current().close()
