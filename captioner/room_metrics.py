"""The metrics of what may run out, or run late: disks, and webhooks that are due."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.core import GaugeMetricFamily as Gauge
from prometheus_client.core import Metric
from sqlalchemy.orm import Session

from captioner import census
from captioner.settings import Settings


def disks(settings: Settings) -> Iterator[Metric]:
    """The file systems that this process writes to. What is elsewhere, as on S3, is left out."""
    free = Gauge("captioner_disk_free_bytes", "Free for ordinary users.", labels=["place"])
    size = Gauge("captioner_disk_bytes", "Size of the file system.", labels=["place"])
    for place, folder in _places(settings):
        try:
            usage = shutil.disk_usage(_existing(folder))
        except OSError:
            continue
        free.add_metric([place], usage.free)
        size.add_metric([place], usage.total)
    yield free
    yield size


def webhooks(session: Session) -> Iterator[Metric]:
    """Webhooks that wait for an attempt."""
    pending, late_s = census.webhooks(session)
    yield Gauge("captioner_webhooks_pending", "Webhooks that are still to be sent.", value=pending)
    yield Gauge(
        "captioner_webhook_late_seconds", "How long the most belated is overdue.", value=late_s
    )


def _places(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "temporary", Path(tempfile.gettempdir())
    blobs = urlsplit(settings.blobs)
    if blobs.scheme in ("", "file"):
        yield "pictures", Path(blobs.path)
    if settings.database.startswith("sqlite"):
        yield "database", Path(settings.database.partition("///")[2])


def _existing(path: Path) -> Path:
    return next((each for each in (path, *path.parents) if each.is_dir()), Path("/"))
