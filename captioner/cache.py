"""Captions that were made before, in Redis, which may lose them at any time.

    cap:caption:{sha-256 of the picture's file}    a hash with a field for each way to caption it
        {model}:{sha-256 of all else}              the caption, as JSON

All that shapes a caption is in the name of its place, so that what is found there is what the
engine would say: the file, which determines the pixels; the model; the version of it that workers
run; every option; and PROMPTS. All that is known of a picture is one key, so that it goes when the
picture goes. A key ends `cache_ttl_s` after it began, whatever was added meanwhile.

A Redis that is away, or does not answer at once, is not asked again for a while.

See docs/adr/0018.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from captioner.errors import CacheUnavailable
from captioner.options import Fault, Options
from captioner.settings import Settings
from captioner.work import Remembered

log = logging.getLogger(__name__)

PREFIX = "cap:caption:"
PROMPTS = 1
"""To be raised when code changes in a way that makes the same options give other captions."""
ANSWER_S = 0.5
"""How long Redis may take, to connect and to answer: a picture is worth no longer wait."""
AWAY_S = 10.0
"""A Redis that was away is left alone so long; then one caller finds out."""
SCAN = 500
"""Keys that one step of a purge looks at."""
AWAY = (redis.ConnectionError, redis.TimeoutError, OSError)
"""What says that Redis is away, of the errors that it may raise."""


@dataclass(frozen=True)
class Place:
    """Where one caption of one picture is remembered."""

    picture: str
    """The sha-256 of its file."""
    field: str

    @classmethod
    def of(cls, picture: str, *, model: str, version: str, options: Options) -> Self:
        """The place of the caption that this version of the model gives with these options."""
        return cls(picture, _field(model, version, options))

    @property
    def key(self) -> str:
        """The picture's key."""
        return PREFIX + self.picture


@lru_cache(1024)
def _field(model: str, version: str, options: Options) -> str:
    rest = json.dumps([PROMPTS, version, options.given], sort_keys=True)
    return f"{model}:{hashlib.sha256(rest.encode()).hexdigest()}"


# One command for all: of each of many, the client takes longer than the server.
RECALL = """
local found = {}
for n, key in ipairs(KEYS) do
    found[n] = redis.call('HGET', key, ARGV[n])
end
return found
"""
REMEMBER = """
for n, key in ipairs(KEYS) do
    redis.call('HSET', key, ARGV[2 * n], ARGV[2 * n + 1])
    redis.call('PEXPIRE', key, ARGV[1], 'NX')
end
"""


class Cache:
    """Remembers captions. Thread-safe; opens no connection before it is asked.

    Everything raises `CacheUnavailable` when Redis is away, at once where that is known.
    """

    def __init__(self, client: redis.Redis | None, *, ttl_s: float) -> None:
        self._client = client
        if client is not None:
            self._remember = client.register_script(REMEMBER)
            self._recall = client.register_script(RECALL)
        self._ttl_ms = int(ttl_s * 1e3)
        self._away_until = 0.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The cache of these settings. One that is off remembers nothing, and calls nobody."""
        on = settings.cache_ttl_s > 0
        return cls(connect(settings.redis_url) if on else None, ttl_s=settings.cache_ttl_s)

    @property
    def on(self) -> bool:
        """Whether anything is remembered at all."""
        return self._client is not None

    def recall(self, places: Sequence[Place]) -> list[Remembered | None]:
        """What is remembered at each place, in order. One question for all."""
        if not places:
            return []
        with self._asking():
            found = self._recall([place.key for place in places], [place.field for place in places])
        return [_read(each) for each in found]

    def remember(self, captions: Mapping[Place, Remembered]) -> None:
        """Keep captions, in the place of those that were there."""
        if not captions:
            return
        keys = [place.key for place in captions]
        said = [(place.field, _written(caption)) for place, caption in captions.items()]
        with self._asking():
            self._remember(keys, [self._ttl_ms, *chain.from_iterable(said)])

    def forget(self, pictures: Iterable[str]) -> int:
        """Forget all captions of these pictures. Returns how many there were."""
        keys = [PREFIX + picture for picture in pictures]
        if not keys:
            return 0
        with self._asking() as client:
            return _unlink(client, keys)

    def purge(self, model: str | None = None) -> int:
        """Forget all captions, or those of one model, and no other key. Returns how many."""
        with self._asking() as client:
            keys = client.scan_iter(match=f"{PREFIX}*", count=SCAN)
            steps = iter(lambda: list(islice(keys, SCAN)), [])
            if model is None:
                return sum(_unlink(client, step) for step in steps)
            return sum(_drop(client, step, model) for step in steps)

    @contextmanager
    def _asking(self) -> Iterator[redis.Redis]:
        if self._client is None:
            raise CacheUnavailable("Captions are not remembered: CAPTIONER_CACHE_TTL_S is 0.")
        until = self._away_until
        if time.monotonic() < until:
            raise CacheUnavailable("Redis did not answer just now.")
        if until:
            self._away_until = time.monotonic() + AWAY_S  # the others leave it to this caller
        try:
            yield self._client
        except (redis.RedisError, OSError) as error:
            away = isinstance(error, AWAY)
            self._away_until = time.monotonic() + AWAY_S if away else 0.0
            log.warning(
                "The captions that are remembered cannot be reached (%s); work goes on without.",
                type(error).__name__,
                extra={"action": "cache_failed"},
            )
            raise CacheUnavailable(f"Redis does not answer ({type(error).__name__}).") from error
        else:
            self._away_until = 0.0


OFF = Cache(None, ttl_s=0)
"""Remembers nothing."""


def connect(url: str) -> redis.Redis:
    """A client with short waits. It tries again at once, and only after a lost connection."""
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


def _unlink(client: redis.Redis, keys: Sequence[Any]) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hlen(key)
        pipeline.unlink(*keys)
        return sum(pipeline.execute()[:-1])


def _drop(client: redis.Redis, keys: Sequence[Any], model: str) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hkeys(key)
        fields = dict(zip(keys, pipeline.execute(), strict=True))
        for key, names in fields.items():
            own = [name for name in names if name.rpartition(b":")[0] == model.encode()]
            if own:
                pipeline.hdel(key, *own)
        return sum(pipeline.execute())


def _written(caption: Remembered) -> str:
    said = [
        caption.caption,
        caption.score,
        caption.others,
        caption.model_revision,
        caption.retried_for,
        caption.tags,
        caption.flagged,
    ]
    return json.dumps(said, separators=(",", ":"))


def _read(found: bytes | None) -> Remembered | None:
    """What `_written` wrote; `None` for anything else that is there."""
    try:
        caption, score, others, revision, *more = json.loads(found or b"[]")
        fault, tags, flagged = more or (None, None, None)
        return Remembered(
            str(caption),
            _score(score),
            tuple((str(t), _score(s)) for t, s in others),
            revision,
            retried_for=None if fault is None else Fault(fault),
            tags=None if tags is None else tuple(map(str, tags)),
            flagged=None if flagged is None else bool(flagged),
        )
    except (ValueError, TypeError):
        return None


def _score(given: Any) -> float | None:
    return None if given is None else float(given)
