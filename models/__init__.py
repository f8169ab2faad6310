"""Database records, and nothing else.

Neural networks are called *engines* and live in `worker/engines`.
"""

from models.base import Base
from models.blob import Blob
from models.job import Job, JobImage
from models.states import ImageState, JobState
from models.worker import Worker

__all__ = ["Base", "Blob", "ImageState", "Job", "JobImage", "JobState", "Worker"]
