"""A caption that is remembered is the one that the engine would give, or it is not found."""

import random

import pytest

from captioner import jobs, metrics
from captioner.cache import PREFIX
from captioner.errors import NothingToRetry
from captioner.options import Options
from models import Job
from tests.integration.alone import stack as stack
from tests.integration.shelf import MODELS, Shelf
from tests.integration.shelf import shelf as shelf
from tests.integration.shelf import valkey as valkey
from tests.pictures import plain

TEAL, NAVY = plain("teal"), plain("navy")


def test_a_picture_that_comes_again_has_its_caption_at_once(shelf) -> None:
    (first,) = shelf.images(shelf.made(TEAL))
    receipt = shelf.submit(TEAL)
    (again,) = shelf.images(receipt.job_id)
    assert (receipt.state, again.state) == ("succeeded", "succeeded")
    for name in ("caption", "score", "others", "model_revision", "blob_sha256"):
        assert getattr(again, name) == getattr(first, name) is not None
    assert (first.cached, again.cached) == (False, True)
    assert (first.attempt, again.attempt) == (1, 0)


def test_only_pictures_that_are_not_known_are_left_to_workers(shelf) -> None:
    shelf.made(TEAL)
    shelf.published.positions.clear()
    receipt = shelf.submit(NAVY, TEAL, b"no picture", plain("gold"))
    assert [image.state for image in shelf.images(receipt.job_id)] == [
        "queued", "succeeded", "failed", "queued",
    ]  # fmt: skip
    assert receipt.state == "queued"
    assert shelf.published.positions == [0, 3]
    shelf.work()
    captions = [image.caption for image in shelf.images(receipt.job_id)]
    assert [caption is not None for caption in captions] == [True, True, False, True]


def test_a_job_of_known_and_refused_pictures_is_partial_at_once(shelf) -> None:
    shelf.made(TEAL)
    receipt = shelf.submit(b"no picture", TEAL)
    assert receipt.state == "partial"
    assert [image.event_seq for image in shelf.images(receipt.job_id)] == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "blip"},
        {"options": Options(prompt="a photo of")},
        {"options": Options(max_new_tokens=7)},
        {"options": Options(num_beams=2)},
        {"options": Options(num_captions=2, num_beams=2)},
        {"options": Options(min_new_tokens=9)},
        {"options": Options(temperature=0.5, seed=1)},
    ],
    ids=str,
)
def test_another_way_to_caption_is_another_caption(shelf, changes) -> None:
    (plainly,) = shelf.images(shelf.made(TEAL))
    (otherwise,) = shelf.images(shelf.made(TEAL, **changes))
    assert otherwise.caption != plainly.caption
    assert not otherwise.cached
    for fields, image in (({}, plainly), (changes, otherwise)):
        (again,) = shelf.images(shelf.submit(TEAL, **fields).job_id)
        assert (again.cached, again.caption) == (True, image.caption)


def test_whatever_is_asked_in_any_order_a_cached_caption_is_what_the_engine_says(shelf) -> None:
    rng = random.Random(5)
    seen = 0
    for _ in range(120):
        if rng.random() < 0.1:
            shelf.serve(rng.choice(["v1", "v2"]))
        options = Options(
            prompt=rng.choice([None, "a", "b"]), num_beams=rng.choice([None, 1, 2]),
            temperature=rng.choice([None, 0.0]),
        )  # fmt: skip
        model, picture = rng.choice(MODELS), rng.choice([TEAL, NAVY])
        job_id = shelf.submit(picture, model=model, options=options).job_id
        (image,) = shelf.images(job_id)
        seen += image.cached
        if image.cached:
            expected = f"{model} {shelf.version} {options.to_json()} {image.blob_sha256}"
            assert image.caption == expected
        shelf.work()
    assert 30 < seen < 120


@pytest.mark.parametrize("versions", [("v2",), (), (None,)], ids=["other", "none", "untold"])
def test_a_caption_of_a_version_that_no_worker_runs_is_not_given(shelf, versions) -> None:
    shelf.made(TEAL)
    shelf.serve(*versions)
    assert shelf.submit(TEAL).state == "queued"
    shelf.serve("v1")
    assert shelf.submit(TEAL).state == "succeeded"


def test_while_workers_run_two_versions_the_captions_of_neither_are_given(shelf) -> None:
    for version in ("v2", "v1"):
        shelf.serve(version)
        shelf.made(TEAL)
    shelf.serve("v1", "v2")
    assert shelf.submit(TEAL).state == "queued"


def test_workers_that_leave_or_have_not_loaded_the_model_do_not_count(shelf) -> None:
    shelf.made(TEAL)
    loading = {"scenes": {"state": "loading", "detail": None, "version": None}}
    for changes in ({"draining": True}, {"models": loading}):
        shelf.serve("v1", **changes)
        assert shelf.submit(TEAL).state == "queued"


def test_a_caption_that_was_drawn_is_not_remembered(shelf) -> None:
    drawn, before = Options(temperature=0.7), shelf.tally()
    shelf.made(TEAL, options=drawn)
    assert shelf.keys() == set()
    assert shelf.submit(TEAL, options=drawn).state == "queued"
    assert shelf.tally() == before


def test_who_wants_it_made_anew_gets_it_so_and_refreshes_what_is_remembered(shelf) -> None:
    shelf.made(TEAL)
    shelf.redis.hset(*only(shelf), '["old",null,[],"r"]')
    assert shelf.images(shelf.submit(TEAL).job_id)[0].caption == "old"
    (anew,) = shelf.images(shelf.made(TEAL, anew=True))
    assert not anew.cached
    assert shelf.images(shelf.submit(TEAL).job_id)[0].caption == anew.caption != "old"


def test_a_job_that_is_not_stored_leaves_nothing_and_may_find_something(shelf) -> None:
    shelf.made(TEAL, stored=False)
    assert shelf.keys() == set()
    shelf.made(TEAL)
    assert shelf.submit(TEAL, stored=False).state == "succeeded"


def test_a_flushed_redis_costs_one_more_caption(shelf) -> None:
    (first,) = shelf.images(shelf.made(TEAL))
    shelf.redis.flushall()
    (second,) = shelf.images(shelf.made(TEAL))
    assert (second.cached, second.caption) == (False, first.caption)
    assert shelf.submit(TEAL).state == "succeeded"


@pytest.mark.parametrize(
    "found", ["", "null", "{}", "[1]", '["a",1,2,3]', "not json", '["a","x",[],null]']
)
def test_what_we_did_not_write_is_no_caption(shelf, found) -> None:
    shelf.made(TEAL)
    shelf.redis.hset(*only(shelf), found)
    assert shelf.submit(TEAL).state == "queued"


def test_captions_go_when_their_time_is_over_however_often_they_are_read(shelf) -> None:
    shelf.made(TEAL)
    key, _ = only(shelf)
    shelf.redis.pexpire(key, 500_000)
    shelf.submit(TEAL)
    shelf.made(TEAL, anew=True)
    shelf.made(TEAL, options=Options(prompt="a"))
    assert 0 < shelf.redis.pttl(key) <= 500_000


def test_lookups_are_counted_by_what_came_of_them(shelf) -> None:
    before = shelf.tally()
    shelf.made(TEAL, NAVY)
    shelf.submit(TEAL, NAVY, plain("gold"))
    shelf.submit(TEAL, anew=True)  # not looked up
    shelf.submit("https://pictures.example/x.png")  # not here yet
    after = shelf.tally()
    assert (after.hits - before.hits, after.misses - before.misses) == (2, 3)
    text = metrics.text(shelf.settings, shelf.database).decode()
    assert f'captioner_cache_lookups_total{{outcome="hit"}} {float(after.hits)}' in text
    assert f'captioner_cache_lookups_total{{outcome="miss"}} {float(after.misses)}' in text


def test_a_job_is_expected_when_its_unknown_pictures_are_through(shelf) -> None:
    shelf.serve("v1", pace={"scenes": 60.0})
    shelf.made(TEAL)

    def expected_s(*pictures: bytes) -> float | None:
        with shelf.database.read() as session:
            job = session.get_one(Job, shelf.submit(*pictures).job_id)
        shelf.work(remembering=False)
        return job.expected_at and (job.expected_at - job.created_at).total_seconds()

    assert expected_s(NAVY, plain("gold")) == pytest.approx(120, abs=1)
    assert expected_s(NAVY, TEAL) == pytest.approx(60, abs=1)
    assert expected_s(TEAL) is None


def test_a_second_request_with_its_key_gives_the_job_it_had(shelf) -> None:
    first = shelf.submit(TEAL, idempotency_key="once")
    shelf.work()
    tally = shelf.tally()
    again = shelf.submit(TEAL, idempotency_key="once", anew=True)
    assert (again.job_id, again.replayed) == (first.job_id, True)
    assert shelf.tally() == tally


def test_no_worker_takes_what_was_known_and_there_is_nothing_to_retry(shelf) -> None:
    shelf.made(TEAL)
    job_id = shelf.submit(TEAL).job_id
    assert shelf.claim() == []
    with pytest.raises(NothingToRetry), shelf.database.write() as session:
        jobs.retry(session, job_id)


def only(shelf: Shelf) -> tuple[bytes, bytes]:
    """The one caption that is remembered: its key and field."""
    (key,) = shelf.keys()
    assert key.startswith(PREFIX.encode())
    (field,) = shelf.redis.hkeys(key)
    return key, field
