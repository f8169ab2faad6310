"""A job as server-sent events (WHATWG HTML, section 9.2): results as they land, progress, the end.

The numbers of the events are the job's own, so a client that comes back with `Last-Event-ID`, to
this process or another, misses nothing and gets nothing twice.
"""

import json
import time
from collections.abc import Iterator
from uuid import UUID

from pydantic import BaseModel

from api.image_view import ImageView
from api.told import Advance, JobEnd, PartialStyles
from captioner import events
from captioner.errors import DatabaseUnavailable
from captioner.events import News
from captioner.services import Services
from captioner.waiting import Watch
from models import JobState

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
"""A comment is sent after so long without news, so that nobody on the way hangs up."""
LONGEST_S = 3600.0
"""Then the stream ends without an end; the client comes back and goes on."""
RETRY_MS = 1000
AWAY_S = 1.0


def follow(
    services: Services, watch: Watch, *, after: int, first: BaseModel | None = None
) -> Iterator[bytes]:
    """The events of the watched job after number `after`, until its end.

    It also ends, without an `end`, when the process is leaving or the client has gone; the watch is
    closed then. `first`, when given, is sent ahead as `accepted`.
    """
    with watch:
        yield f"retry: {RETRY_MS}\n\n".encode()
        if first is not None:
            yield _event("accepted", first)
        yield from _news(services, watch, after)


def _news(services: Services, watch: Watch, after: int) -> Iterator[bytes]:
    until, seen, told = time.monotonic() + LONGEST_S, -1, _Told()
    while time.monotonic() < until and not watch.over:
        progress = watch.wait(after=seen, timeout_s=HEARTBEAT_S, or_whispers=True)
        whispers = list(told.whispers(watch))
        yield from whispers
        if progress is None:
            yield from () if whispers else (b":\n\n",)
            continue
        try:
            news = _read(services, watch.job_id, after)
        except DatabaseUnavailable:
            time.sleep(AWAY_S)
            continue
        if news is None:
            yield _event("deleted", JobEnd.gone(watch.job_id))
            return
        yield from told.images(news)
        after = max([after, *(image.event_seq or after for image in news.images)])
        yield _event("progress", Advance.of(news.job))
        if JobState(news.job.state).final:
            yield _event("end", JobEnd.of(news.job), number=news.job.event_seq)
            if not news.job.stored and not watch.over:  # asked for more: the end was sent
                services.retention.delivered(watch.job_id)
            return
        seen = max(news.job.event_seq, progress.seq)


class _Told:
    """Which images a client has heard of."""

    def __init__(self) -> None:
        self._ended: set[int] = set()
        self._begun: set[int] = set()

    def whispers(self, watch: Watch) -> Iterator[bytes]:
        """What is being written of images that have not ended."""
        for whisper in watch.whispers():
            self._begun.add(whisper.position)
            if whisper.position not in self._ended:
                yield _event("partial", PartialStyles.of(whisper))

    def images(self, news: News) -> Iterator[bytes]:
        """Those that ended; and the plain captions of which nothing was overheard, as the client
        came after that was said.
        """
        for image in news.images:
            self._ended.add(image.position)
            yield _event("image", ImageView.of(image), number=image.event_seq)
        for image in news.to_style:
            if image.position not in self._begun:
                self._begun.add(image.position)
                yield _event("partial", PartialStyles.begun(image))


def _read(services: Services, job_id: UUID, after: int) -> News | None:
    with services.database.snapshot() as session:
        return events.since(session, job_id, after=after)


def _event(name: str, view: BaseModel, *, number: int | None = None) -> bytes:
    # One line of JSON has no line break in it, so the frame cannot be broken by a caption.
    body = json.dumps(view.model_dump(mode="json", by_alias=True), separators=(",", ":"))
    numbered = f"id: {number}\n" if number is not None else ""
    return f"event: {name}\n{numbered}data: {body}\n\n".encode()
