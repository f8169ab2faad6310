"""kombu's Redis transport with one client for each channel.

Its own makes one for each command, of which a message takes several: that was a quarter of what
Celery's loop does.
"""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """As kombu's. A client has no state but its pool of connections."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(redis.Transport):
    """As kombu's, with those channels."""

    Channel = Channel
