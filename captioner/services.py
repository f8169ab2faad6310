"""The composition root of the serving side: every part is built here and passed on."""

from captioner import dispatch
from captioner.blobs import BlobStore
from captioner.broker import Publisher, celery_app
from captioner.database import Database
from captioner.intake import Intake
from captioner.settings import Settings
from captioner.wakeups import WaitingRoom, connect
from captioner.work import Parcel


class Services:
    """What the API needs. Building it opens no connection and starts no thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.blobs = BlobStore(settings.blobs)
        self.publisher = Publisher(celery_app(settings), on_failure=self._unpublished)
        self.intake = Intake(settings, self.database, self.blobs, self.publisher)
        self.waiting_room = WaitingRoom(connect(settings.redis_url), places=settings.max_waiters)

    def close(self) -> None:
        """End threads and give connections back."""
        self.publisher.close()
        self.database.close()

    def _unpublished(self, parcel: Parcel) -> None:
        with self.database.write() as session:
            dispatch.unpublished(session, parcel)
