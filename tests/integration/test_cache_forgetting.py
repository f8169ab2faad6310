"""What is remembered goes with its picture, and on demand; a Redis that is away holds up nobody."""

import threading
import time

import pytest

from captioner import cache as caching
from captioner import jobs
from captioner.blobs import digest
from captioner.cache import AWAY_S, PREFIX, Cache, connect
from captioner.errors import CacheUnavailable, PictureMissing
from captioner.options import Options
from tests.integration.alone import stack as stack
from tests.integration.shelf import Shelf
from tests.integration.shelf import shelf as shelf
from tests.integration.shelf import valkey as valkey
from tests.pictures import plain
from worker.remembering import forget_deleted, remember

TEAL, NAVY = plain("teal"), plain("navy")


def key(picture: bytes) -> bytes:
    return f"{PREFIX}{digest(picture)}".encode()


def impatient(shelf: Shelf) -> Cache:
    """The same cache, in a process that has not heard of an outage."""
    return Cache.of(shelf.settings)


def test_what_is_known_of_a_picture_goes_with_the_last_job_that_has_it(shelf) -> None:
    first = shelf.made(TEAL, NAVY)
    second = shelf.made(TEAL, options=Options(prompt="a"))
    removed = shelf.retention.delete(first).pictures
    assert (removed.blobs, removed.captions) == (1, 1)
    assert shelf.keys() == {key(TEAL)}
    assert shelf.retention.delete(second).pictures.captions == 2
    assert shelf.keys() == set()


def test_a_job_that_was_answered_from_memory_keeps_its_picture_remembered(shelf) -> None:
    first = shelf.made(TEAL)
    second = shelf.submit(TEAL).job_id
    assert shelf.retention.delete(first).pictures.captions == 0
    assert shelf.submit(TEAL).state == "succeeded"
    assert shelf.images(second)[0].cached


def test_pictures_that_are_kept_no_longer_are_forgotten_though_their_job_is_kept(shelf) -> None:
    job_id = shelf.made(TEAL)
    with shelf.database.write() as session:
        dropped = jobs.drop_old_pictures(session, kept_s=-1)
    assert digest(TEAL) in dropped
    shelf.cleaner.turn()
    shelf.cleaner.turn()  # it begins anywhere among the hashes, so that twice is once round
    assert shelf.keys() == set()
    assert shelf.images(job_id)[0].caption


def test_a_caption_made_while_its_job_was_deleted_is_not_remembered(shelf) -> None:
    job_id = shelf.submit(TEAL).job_id
    outcomes = [shelf.outcome(claim) for claim in shelf.claim()]
    shelf.retention.delete(job_id)
    remembered = remember(shelf.cache, outcomes)
    assert shelf.keys() == {key(TEAL)}
    forget_deleted(shelf.cache, shelf.database, remembered)
    assert shelf.keys() == set()


def test_captions_that_cannot_be_forgotten_now_are_forgotten_later(shelf) -> None:
    job_id = shelf.made(TEAL)
    shelf.wire.silent = True
    removed = shelf.retention.delete(job_id).pictures
    assert (removed.blobs, removed.left) == (0, 1)
    with pytest.raises(PictureMissing):
        shelf.blobs.get(digest(TEAL))  # the file has gone all the same
    shelf.wire.silent = False
    shelf.cleaner._cache = impatient(shelf)
    shelf.cleaner.turn()
    shelf.cleaner.turn()
    assert shelf.keys() == set()


def test_a_picture_that_comes_again_before_its_captions_were_forgotten_is_whole(shelf) -> None:
    job_id = shelf.made(TEAL)
    shelf.wire.silent = True
    shelf.retention.delete(job_id)
    shelf.wire.silent = False
    again = shelf.submit(TEAL).job_id
    shelf.cleaner.turn()
    assert shelf.blobs.get(digest(TEAL)) == TEAL
    shelf.work()
    assert shelf.images(again)[0].state == "succeeded"


def test_a_purge_takes_our_captions_and_no_other_key(shelf) -> None:
    foreign = {"caption.scenes", "cap:changed", "cap:captions", "xcap:caption:1", "_kombu.binding"}
    for name in foreign:
        shelf.redis.set(name, "theirs")
    shelf.made(TEAL, NAVY)
    shelf.made(TEAL, model="blip")
    assert shelf.cache.purge("blip") == 1
    assert shelf.cache.purge("scen") == 0
    assert shelf.submit(TEAL).state == "succeeded"
    assert shelf.cache.purge() == 2
    assert shelf.keys() == {name.encode() for name in foreign}


def test_a_purge_takes_more_captions_than_one_step_of_it(shelf) -> None:
    with shelf.redis.pipeline(transaction=False) as pipeline:
        for n in range(3 * caching.SCAN + 1):
            pipeline.hset(f"{PREFIX}{n:064x}", mapping={"scenes:1": "[]", "blip:1": "[]"})
        pipeline.execute()
    assert shelf.cache.purge("blip") == 3 * caching.SCAN + 1
    assert shelf.cache.purge() == 3 * caching.SCAN + 1
    assert shelf.keys() == set()


@pytest.mark.parametrize("fault", ["silent", "refused"])
def test_a_redis_that_is_away_is_a_counted_miss_that_costs_its_time_out_once(shelf, fault) -> None:
    shelf.made(TEAL)
    if fault == "silent":
        shelf.wire.silent = True
        cache = shelf.cache
    else:
        cache = Cache(connect("redis://127.0.0.1:1/0"), ttl_s=600)
    door, before = shelf.door(cache), shelf.tally()
    shelf.intake = door
    began = time.monotonic()
    ids = [shelf.submit(TEAL, NAVY).job_id for _ in range(20)]
    took_s = time.monotonic() - began
    after = shelf.tally()
    assert (after.hits, after.misses, after.errors) == (
        before.hits, before.misses, before.errors + 40,
    )  # fmt: skip
    print(f"{fault}: 20 requests took {took_s:.2f} s")
    assert took_s < 20 * caching.ANSWER_S / 2
    shelf.work()
    assert {image.state for each in ids for image in shelf.images(each)} == {"succeeded"}


def test_a_redis_that_is_back_is_asked_again_by_one_caller_first(shelf) -> None:
    shelf.made(TEAL)
    shelf.wire.silent = True
    assert shelf.submit(TEAL).state == "queued"
    assert shelf.cache._away_until > time.monotonic() + AWAY_S / 2
    shelf.cache._away_until = time.monotonic()  # some time later, and it is still away
    began = time.monotonic()
    threads = [threading.Thread(target=shelf.submit, args=(TEAL,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 8 * caching.ANSWER_S
    shelf.wire.silent = False
    shelf.cache._away_until = time.monotonic()
    assert shelf.submit(TEAL).state == "succeeded"
    assert shelf.submit(TEAL).state == "succeeded"


def test_a_connection_that_was_lost_meanwhile_is_no_outage(shelf) -> None:
    shelf.made(TEAL)
    before = shelf.tally().errors
    shelf.wire.cut()
    time.sleep(0.1)
    assert shelf.submit(TEAL).state == "succeeded"
    assert shelf.tally().errors == before


def test_a_redis_that_answers_with_an_error_is_asked_again_at_once(shelf) -> None:
    shelf.redis.set(key(TEAL), "theirs")
    job_id = shelf.made(TEAL, NAVY)  # neither found nor kept, and captioned all the same
    assert {image.state for image in shelf.images(job_id)} == {"succeeded"}
    shelf.redis.delete(key(TEAL))
    shelf.made(TEAL)
    assert shelf.submit(TEAL).state == "succeeded"


def test_a_cache_that_is_off_calls_nobody(shelf) -> None:
    cache = Cache.of(shelf.settings.model_copy(update={"cache_ttl_s": 0.0}))
    assert not cache.on
    with pytest.raises(CacheUnavailable):
        cache.purge()
    shelf.made(TEAL)
    before, shelf.intake = shelf.tally(), shelf.door(cache)
    assert shelf.submit(TEAL).state == "queued"
    assert shelf.tally() == before
