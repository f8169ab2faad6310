"""Any order of claims, results, losses, cancels, deadlines and retries keeps the promises of a job.

Hypothesis drives two workers, the reconciler and a caller, one transaction after another, against
the real database, and after each looks at what changed: no forbidden transition, no lost image, no
second result. What runs at the same moment is in `test_job_races`.
"""

from collections import Counter

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update

from captioner import dispatch, jobs, queries, results
from captioner.clock import now_plus
from captioner.database import Database
from captioner.errors import CaptionFailed, JobFinal, JobNotFinal, NothingToRetry
from captioner.jobs.controlling import reason
from captioner.work import Claim, Outcome
from models import CancelCause, ImageState, Job, JobImage, JobState
from tests.integration.rows import expire, model_of

MAX_ATTEMPTS = 3
Im, J = ImageState, JobState

IMAGE_MOVES = {
    Im.QUEUED: {Im.RUNNING, Im.CANCELED, Im.FAILED},  # failed: fewer attempts allowed than before
    Im.RUNNING: {Im.QUEUED, Im.SUCCEEDED, Im.FAILED, Im.CANCELED},
    Im.SUCCEEDED: set(),
    Im.FAILED: {Im.QUEUED},  # by a retry alone
    Im.CANCELED: {Im.QUEUED},  # by a retry alone
}
ENDS = {J.SUCCEEDED, J.PARTIAL, J.FAILED, J.CANCELED, J.EXPIRED}
JOB_MOVES = {
    J.QUEUED: {J.RUNNING, J.CANCELING, J.CANCELED, J.EXPIRED},
    J.RUNNING: {J.SUCCEEDED, J.PARTIAL, J.FAILED, J.CANCELING, J.CANCELED, J.EXPIRED},
    J.CANCELING: ENDS,
    J.SUCCEEDED: set(),
    **{state: {J.QUEUED} for state in ENDS - {J.SUCCEEDED}},  # by a retry alone
}


def machine(database: Database, make) -> type[RuleBasedStateMachine]:  # noqa: C901 - its rules
    """The machine, for one database."""

    class Life(RuleBasedStateMachine):
        held: dict[str, list[Claim]]

        @initialize(images=st.integers(1, 4), refused=st.integers(0, 2))
        def begin(self, images: int, refused: int) -> None:
            self.job_id = make(images + refused, refused=refused)
            self.held = {"one": [], "two": []}
            self.gone: list[Claim] = []
            self.results: Counter[tuple[int, int]] = Counter()
            self.retried = False
            self.before = self.look()
            self.miscounted = self.told_less_there()

        def look(self) -> queries.JobRead:
            with database.read() as session:
                read = queries.job(session, self.job_id)
            assert read is not None
            return read

        def write(self, change):
            with database.write() as session:
                return change(session)

        def claims(self, again: tuple | None, limit: int) -> list[Claim]:
            return self.write(
                lambda session: jobs.claim(
                    session, model=model_of(self.job_id), limit=limit, worker="w", lease_s=60,
                    max_attempts=MAX_ATTEMPTS, retry_s=60, again=again,
                )
            )  # fmt: skip

        @rule(worker=st.sampled_from(["one", "two"]), limit=st.integers(1, 3))
        def claim(self, worker: str, limit: int) -> None:
            self.held[worker] += self.claims(None, limit)

        @rule(worker=st.sampled_from(["one", "two"]), position=st.integers(0, 5))
        def claim_again(self, worker: str, position: int) -> None:
            taken = self.claims((self.job_id, [position]), 1)
            assert all(claim.alone for claim in taken)
            self.held[worker] += taken

        @rule(
            worker=st.sampled_from(["one", "two"]),
            how=st.sampled_from(["caption", "fail", "stop"]),
            late=st.booleans(),
        )
        def finish(self, worker: str, how: str, late: bool) -> None:
            mine = self.gone if late else self.held[worker]
            if not mine:
                return
            claim = mine[-1] if late else mine.pop(0)
            outcome = {
                "caption": Outcome(claim, caption=f"by attempt {claim.attempt}"),
                "fail": Outcome(claim, error=CaptionFailed("no")),
                "stop": Outcome(claim, error=reason(CancelCause.ASKED)),
            }[how]
            if how == "stop" and self.before.job.state != J.CANCELING:
                return  # a worker stops only what is canceling
            changed = self.write(lambda session: jobs.finish(session, [outcome]))
            if changed:
                self.results[claim.position, claim.attempt] += 1
            assert late is False or not changed or not self.is_over(claim)

        def is_over(self, claim: Claim) -> bool:
            image = self.before.images[claim.position]
            return (image.state, image.attempt) != (Im.RUNNING, claim.attempt)

        @rule(worker=st.sampled_from(["one", "two"]))
        def hand_back(self, worker: str) -> None:
            mine, self.held[worker] = self.held[worker], []
            self.write(lambda session: jobs.release(session, mine))

        @rule(worker=st.sampled_from(["one", "two"]))
        def die(self, worker: str) -> None:
            """The worker is gone, or only paused: its results may come late."""
            self.gone += self.held[worker]
            self.held[worker] = []

        @rule()
        def reconcile_after_the_leases(self) -> None:
            expire(database, self.job_id)
            with database.write() as session:
                kept = [claim for mine in self.held.values() for claim in mine]
                jobs.renew(session, kept, lease_s=60)
            self.write(lambda session: jobs.take_back_expired(session, max_attempts=MAX_ATTEMPTS))

        @rule()
        def take_over(self) -> None:
            """Worker one is paused past its leases, and worker two gets what it held."""
            paused, self.held["one"] = self.held["one"], []
            self.gone += paused
            self.reconcile_after_the_leases()
            for claim in paused:
                self.held["two"] += self.claims((self.job_id, [claim.position]), 1)

        @rule()
        def publish(self) -> None:
            self.write(
                lambda session: dispatch.take_unpublished(
                    session, models=[model_of(self.job_id)], stale_s=30, limit=99, size=16
                )
            )

        @rule()
        def cancel(self) -> None:
            try:
                state = self.write(lambda session: jobs.cancel(session, self.job_id))
                assert state in (J.CANCELING, J.CANCELED)
            except JobFinal:
                assert JobState(self.before.job.state).final

        @precondition(lambda self: not JobState(self.before.job.state).final)
        @rule()
        def let_the_deadline_pass(self) -> None:
            def passed(session):
                late = update(Job).where(Job.id == self.job_id).values(deadline_at=now_plus(-1))
                session.execute(late)
                return jobs.expire_due(session)

            self.write(passed)

        @rule(only_failed=st.booleans())
        def retry(self, only_failed: bool) -> None:
            try:
                self.write(lambda s: jobs.retry(s, self.job_id, only_failed=only_failed))
                self.retried = True
            except JobNotFinal:
                assert not JobState(self.before.job.state).final
            except NothingToRetry:
                assert JobState(self.before.job.state).final

        @invariant()
        def only_allowed_moves(self) -> None:
            after = self.look()
            for old, new in zip(self.before.images, after.images, strict=True):
                assert new.attempt >= old.attempt
                if old.state == new.state:
                    if Im(old.state).final:
                        assert (old.caption, old.error_code) == (new.caption, new.error_code)
                    continue
                assert Im(new.state) in IMAGE_MOVES[Im(old.state)], (old.state, new.state)
                if Im(old.state).final:
                    assert self.retried
            was, now = J(self.before.job.state), J(after.job.state)
            assert was == now or now in JOB_MOVES[was], (was, now)
            assert not was.final or was == now or self.retried
            self.retried = False
            self.before = after

        @invariant()
        def the_job_says_what_its_images_say(self) -> None:
            job, images = self.before.job, self.before.images
            count = Counter(image.state for image in images)
            assert job.succeeded_count == count[Im.SUCCEEDED]
            assert job.failed_count == count[Im.FAILED]
            assert job.canceled_count == count[Im.CANCELED]
            assert J(job.state).final == all(Im(image.state).final for image in images)
            assert J(job.state).final == (job.finished_at is not None)
            if job.state == J.CANCELING:
                assert count[Im.QUEUED] == 0
                assert count[Im.RUNNING] > 0
            if job.state == J.SUCCEEDED:
                assert count[Im.SUCCEEDED] == len(images)

        def told_less_there(self) -> dict[Im, int]:
            with database.read() as session:
                counted = select(JobImage.state, func.count()).group_by(JobImage.state)
                there = dict(iter(session.execute(counted)))
                told = results.total(session).images
            return {state: told[state] - there.get(state, 0) for state in told}

        @invariant()
        def the_counts_of_results_stay_true(self) -> None:
            assert self.told_less_there() == self.miscounted

        @invariant()
        def each_attempt_has_one_result(self) -> None:
            assert all(times == 1 for times in self.results.values())
            for image in self.before.images:
                if image.state == Im.SUCCEEDED:
                    assert image.caption == f"by attempt {image.attempt}"

        @invariant()
        def events_are_numbered_once(self) -> None:
            final = [image for image in self.before.images if Im(image.state).final]
            numbers = [image.event_seq for image in final]
            assert None not in numbers
            assert len(set(numbers)) == len(numbers)
            assert max(numbers, default=0) <= self.before.job.event_seq

        def teardown(self) -> None:
            """Whatever happened, the job can be brought to its end: no image is lost."""
            if not hasattr(self, "job_id"):
                return
            for _ in range(2 * MAX_ATTEMPTS + 2):
                self.reconcile_after_the_leases_of_all()
                for position in range(len(self.before.images)):
                    claimed = self.claims((self.job_id, [position]), 1)
                    outcomes = [Outcome(c, caption=f"by attempt {c.attempt}") for c in claimed]
                    self.write(lambda session, found=outcomes: jobs.finish(session, found))
                outcomes = [
                    Outcome(c, caption=f"by attempt {c.attempt}") for c in self.claims(None, 99)
                ]
                self.write(lambda session, found=outcomes: jobs.finish(session, found))
            assert JobState(self.look().job.state).final

        def reconcile_after_the_leases_of_all(self) -> None:
            expire(database, self.job_id)
            self.write(lambda session: jobs.take_back_expired(session, max_attempts=MAX_ATTEMPTS))

    return Life


def test_no_order_of_events_breaks_a_job(database: Database, make, pytestconfig) -> None:
    examples = 150 if database.url.startswith("sqlite") else 60
    run_state_machine_as_test(
        machine(database, make),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_table_of_moves_is_the_documented_one() -> None:
    """Every state is in the drawing of `captioner.jobs`, and in the page that explains it."""
    drawn = jobs.__doc__ or ""
    assert [state for state in (*JobState, *ImageState) if state.value not in drawn] == []
