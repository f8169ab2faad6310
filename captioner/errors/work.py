"""Captioning itself went wrong, or was stopped."""

from captioner.errors.root import CaptionerError


class WorkError(CaptionerError):
    """Captioning itself went wrong."""


class ModelUnavailable(WorkError):
    """The model could not be loaded; the detail says why."""

    code = "model_unavailable"
    title = "The model cannot be loaded"


class ModelNotReady(ModelUnavailable):
    """The model cannot be had for want of memory, disk, whole files or the server that runs it; it
    may be later.
    """

    code = "model_not_ready"
    title = "The model cannot be had for now"
    retryable = True


class HubUnavailable(ModelUnavailable):
    """The model is not on this machine and the hub gives no proper answer; it may later."""

    code = "hub_unavailable"
    title = "The model hub does not answer"
    retryable = True


class CaptionFailed(WorkError):
    """The engine raised, or gave no usable answer, for this picture."""

    code = "caption_failed"
    title = "The picture could not be captioned"


class PictureMissing(WorkError):
    """The stored picture is not there any more."""

    code = "picture_missing"
    title = "The picture is no longer stored"


class WorkerLost(WorkError):
    """Every allowed attempt ended with the worker gone."""

    code = "worker_lost"
    title = "The worker died while it held this picture"


class Canceled(WorkError):
    """The job was canceled before the picture had its caption."""

    code = "canceled"
    title = "The picture's job was canceled"


class DeadlinePassed(WorkError):
    """The deadline that the caller set passed before the picture had its caption."""

    code = "deadline_passed"
    title = "The job's deadline passed"
