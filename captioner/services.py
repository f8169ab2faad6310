"""The composition root of the serving side: every part is built here and passed on."""

from collections.abc import Collection
from uuid import UUID

from captioner import dispatch, queries, tracing
from captioner.access.keyring import KeyRing
from captioner.access.limits import Limits
from captioner.access.quota import Quota
from captioner.blobs import BlobStore
from captioner.broker import sending_app
from captioner.cache import Cache
from captioner.database import Database
from captioner.intake import Intake
from captioner.publishing import Publisher
from captioner.queries import Progress
from captioner.retention import Retention
from captioner.settings import Settings
from captioner.traffic import Traffic
from captioner.waiting import WaitingRoom
from captioner.wakeups import Herald, connect
from captioner.work import Parcel


class Services:
    """What the API needs. Building it opens no connection and starts no thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.database)
        self.blobs = BlobStore(settings.blobs)
        self.publisher = Publisher(
            sending_app(settings), on_failure=self._unpublished, size=settings.message_images
        )
        self.cache = Cache.of(settings)
        self.keyring = KeyRing(self.database, admin_key=settings.api_key)
        self.limits = Limits(settings)
        quota = Quota(self.limits, images_per_day=settings.quota_images_per_day)
        self.traffic = Traffic()
        self.intake = Intake(
            settings,
            self.database,
            self.blobs,
            self.publisher,
            self.cache,
            quota=quota,
            when_accepted=self.traffic.accepted,
        )
        self.retention = Retention(self.database, self.blobs, self.cache)
        self.herald = Herald(connect(settings.redis_url))
        self.waiting_room = WaitingRoom(
            connect(settings.redis_url), self._progress, places=settings.max_waiters
        )

    def close(self) -> None:
        """End threads and give connections back."""
        self.waiting_room.close()
        self.publisher.close()
        self.database.close()
        tracing.close()

    def _unpublished(self, parcel: Parcel) -> None:
        with self.database.write() as session:
            dispatch.unpublished(session, parcel)

    def _progress(self, job_ids: Collection[UUID]) -> dict[UUID, Progress]:
        with self.database.read() as session:
            return queries.progress(session, job_ids)
