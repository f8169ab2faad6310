"""What two workers, the reconciler and a caller do at the same moment, on real connections.

Hypothesis draws a plan for each of four threads, and all run at once. Then nothing is blocked for
ever, nothing raised, and the job can be brought to its end with one result for each image.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from captioner import jobs, queries
from captioner.database import Database
from captioner.errors import JobFinal, JobNotFinal, NothingToRetry
from captioner.work import Claim, Outcome
from models import ImageState, JobState
from tests.integration.rows import expire, model_of

IMAGES = 12
PLANS = {
    "worker": st.lists(st.sampled_from(["claim", "again", "finish", "release"]), max_size=8),
    "reconciler": st.lists(st.sampled_from(["expire", "take back"]), max_size=6),
    "caller": st.lists(st.sampled_from(["cancel", "retry", "look"]), max_size=4),
}


class Actors:
    """What each thread may do, a transaction each."""

    def __init__(self, database: Database, job_id) -> None:
        self.database, self.job_id = database, job_id
        self.faults: list[BaseException] = []
        self.results: list[tuple[int, int]] = []

    def worker(self, plan: list[str]) -> None:
        mine: list[Claim] = []
        for step in plan:
            match step:
                case "claim":
                    mine += self.claim(None)
                case "again":
                    mine += self.claim((self.job_id, list(range(IMAGES))))
                case "finish":
                    self.finish(mine)
                    mine = []
                case "release":
                    with self.database.write() as session:
                        jobs.release(session, mine)
                    mine = []

    def claim(self, again: tuple | None) -> list[Claim]:
        with self.database.write() as session:
            return jobs.claim(
                session, model=model_of(self.job_id), limit=5, worker="w", lease_s=60,
                max_attempts=9, retry_s=60, again=again,
            )  # fmt: skip

    def finish(self, mine: list[Claim]) -> None:
        outcomes = [Outcome(claim, caption=f"by attempt {claim.attempt}") for claim in mine]
        with self.database.write() as session:
            jobs.finish(session, outcomes)

    def reconciler(self, plan: list[str]) -> None:
        for step in plan:
            if step == "expire":
                expire(self.database, self.job_id)
            else:
                with self.database.write() as session:
                    jobs.take_back_expired(session, max_attempts=9)

    def caller(self, plan: list[str]) -> None:
        ask: dict[str, Callable] = {"cancel": jobs.cancel, "retry": jobs.retry, "look": queries.job}
        for step in plan:
            try:
                with self.database.write() as session:
                    ask[step](session, self.job_id)
            except (JobFinal, JobNotFinal, NothingToRetry):
                continue

    def together(self, *parts: tuple[Callable, list[str]]) -> None:
        gate = threading.Barrier(len(parts))

        def run(act: Callable, plan: list[str]) -> None:
            gate.wait()
            try:
                act(plan)
            except Exception as error:
                self.faults.append(error)

        threads = [threading.Thread(target=run, args=part) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not any(thread.is_alive() for thread in threads)


def test_what_happens_at_once_breaks_no_job(database: Database, make) -> None:
    examples = 60

    @settings(
        max_examples=examples, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(
        one=PLANS["worker"], two=PLANS["worker"],
        reconciler=PLANS["reconciler"], caller=PLANS["caller"],
    )  # fmt: skip
    def at_once(one, two, reconciler, caller) -> None:
        actors = Actors(database, make(IMAGES))
        actors.together(
            (actors.worker, one), (actors.worker, two),
            (actors.reconciler, reconciler), (actors.caller, caller),
        )  # fmt: skip
        assert actors.faults == []
        bring_to_an_end(actors)

    at_once()


def bring_to_an_end(actors: Actors) -> None:
    for _ in range(4):
        actors.reconciler(["expire", "take back"])
        for again in (None, (actors.job_id, list(range(IMAGES)))):
            while taken := actors.claim(again):
                actors.finish(taken)
    with actors.database.read() as session:
        read = queries.job(session, actors.job_id)
    assert read is not None
    assert JobState(read.job.state).final
    states = [ImageState(image.state) for image in read.images]
    assert all(state.final for state in states)
    assert states.count(ImageState.SUCCEEDED) == read.job.succeeded_count
    assert states.count(ImageState.CANCELED) == read.job.canceled_count
    assert states.count(ImageState.FAILED) == read.job.failed_count
    for image in read.images:
        if image.state == ImageState.SUCCEEDED:
            assert image.caption == f"by attempt {image.attempt}"
    numbers = [image.event_seq for image in read.images]
    assert len(set(numbers)) == IMAGES


def test_a_heartbeat_and_results_do_not_wait_for_each_other(database: Database, make) -> None:
    actors = Actors(database, make(2))
    first, second = actors.claim(None)
    renew = partial(jobs.renew, claims=[first, second], lease_s=60)
    with database.write() as session:
        jobs.renew(session, [first], lease_s=60)  # a plain scan comes to this row last from now on
    with ThreadPoolExecutor() as pool:
        with database.write() as session:
            jobs.finish(session, [Outcome(first, caption="one")])
            renewed = pool.submit(in_transaction, database, renew)
            wait([renewed], timeout=0.5)  # it is waiting for the first row, and holds no other
            jobs.finish(session, [Outcome(second, caption="two")])
        renewed.result(timeout=30)


def in_transaction(database: Database, act: Callable[[Session], None]) -> None:
    with database.write() as session:
        act(session)
