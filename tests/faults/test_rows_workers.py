"""Rows 2, 3, 18, 19, 20 and 24 of the fault matrix: what workers do to what they hold."""

import signal
import time

import pytest

from captioner.jobs.ranking import FEW
from tests.faults.bent_worker import DIED_BEFORE_ACK
from tests.faults.crew import LIVELY, Crew, bent, deliveries, faultless, forms
from tests.faults.drawn import Order
from tests.faults.stand import standing
from tests.processes import until

LEASE_S = float(LIVELY["CAPTIONER_LEASE_S"])
BATCH = 16


def in_one_batch(crew: Crew, *orders: Order) -> tuple[int, int]:
    """Sixteen pictures in one batch of the engine. Returns its process and the first's number.

    The engine is kept busy by another picture while they gather. That one's job is no small one:
    for those, batches are kept short.
    """
    busy = crew.post(Order.SLEEP, *[Order.NONE] * FEW)
    crew.see(crew.accepted[busy][0])
    first = crew.accepted[crew.post(*orders, *[Order.NONE] * (BATCH - len(orders)))][0]
    return crew.see(first, batch=BATCH), first


@forms("kills", 2, 100)
def test_killed_in_the_middle_of_a_batch(kills, tmp_path, tell) -> None:
    """Row 2."""
    recovered = []
    with standing(tmp_path, broker="redis", workers=1, settings=LIVELY) as stand:
        crew = Crew(stand)
        for _ in range(kills):
            pid, _ = in_one_batch(crew, Order.SLEEP)
            crew.holder(pid).send(signal.SIGKILL, pid=pid)
            recovered.append(crew.settle())
        verdict = crew.verdict()
        p95 = sorted(recovered)[int(0.95 * (len(recovered) - 1))]
        tell([crew.row("kill -9 in a batch of 16", kills, p95, verdict)])
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert kills * BATCH <= verdict.extra_runs <= kills * (BATCH + 1)
    assert verdict.most_runs == 2
    assert p95 <= LEASE_S + 10


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
@forms("jobs", 40, 500)
def test_killed_between_commit_and_acknowledgement(broker, jobs, tmp_path, tell) -> None:
    """Row 3: every one of the jobs has its result stored, and its message comes again."""
    settings = {**LIVELY, "CAPTIONER_MAX_BATCH": "8"}  # so 16 tasks
    with standing(tmp_path, broker=broker, workers=1, settings=settings) as stand:
        crew, order = Crew(stand), tmp_path / "die"
        order.touch()
        bent(stand, {"worker-bent": ("--die-before-ack", str(order), "--die-with", "16",
                                     "--visibility-s", "3")})  # fmt: skip
        for _ in range(jobs):
            crew.post(Order.NONE)
        seconds = crew.settle(timeout_s=jobs)
        order.unlink()
        until(lambda: stand.left(taken=True) == 0, what="end of the redeliveries")
        deaths = [death.code for death in stand.fleet.surprises()]
        verdict = crew.verdict()
        tell([crew.row(f"dies before acks ({broker})", len(deaths), seconds, verdict)])
        print(f"{deliveries(stand)} deliveries of {jobs} messages, {len(deaths)} deaths")
        assert deliveries(stand) >= 2 * jobs
    assert faultless(verdict)
    assert verdict.extra_runs == 0
    assert set(deaths) == {DIED_BEFORE_ACK}


@forms("jobs", 4, 50)
def test_longer_than_the_visibility_timeout_and_the_lease(jobs, tmp_path, tell) -> None:
    """Row 18: messages come again while their work goes on; nothing is run twice."""
    settings = {**LIVELY, "CAPTIONER_LEASE_S": "3", "CAPTIONER_MAX_BATCH": "1"}
    with standing(tmp_path, broker="redis", workers=1, settings=settings) as stand:
        bent(stand, {f"worker-bent-{n}": ("--visibility-s", "2") for n in (1, 2)})
        crew = Crew(stand)
        for _ in range(jobs):
            crew.post(Order.SLEEP)
        seconds = crew.settle(timeout_s=30 + 3 * jobs)
        verdict, taken = crew.verdict(), deliveries(stand)
        tell([crew.row(f"longer than its message's time ({taken} deliveries)", jobs, seconds,
                       verdict)])  # fmt: skip
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert verdict.runs == jobs
    assert taken > jobs


@forms("rounds", 1, 7)
def test_late_results_of_a_paused_worker_change_nothing(rounds, tmp_path, tell) -> None:
    """Row 19: sixteen pictures a round."""
    with standing(tmp_path, broker="redis", workers=2, settings=LIVELY) as stand:
        crew, seconds = Crew(stand), []
        for _ in range(rounds):
            first = crew.accepted[crew.post(Order.SLEEP, *[Order.NONE] * (BATCH - 1))][0]
            pid = crew.see(first)
            zombie = crew.holder(pid)
            zombie.send(signal.SIGSTOP, pid=pid)
            seconds.append(crew.settle())
            zombie.send(signal.SIGCONT, pid=pid)
            time.sleep(2)  # for its results to come too late
            assert zombie.pid == pid
        verdict = crew.verdict()
        tell([crew.row("SIGSTOP past the lease", rounds, max(seconds), verdict)])
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert verdict.extra_runs >= rounds
    assert max(seconds) < LEASE_S + 10


@forms("jobs", 60, 1_000)
def test_clocks_that_are_an_hour_wrong(jobs, tmp_path, tell) -> None:
    """Row 20: three workers, of which one is an hour ahead and one behind."""
    with standing(tmp_path, broker="redis", workers=1, settings=LIVELY) as stand:
        bent(stand, {"worker-ahead": ("--clock-s", "3600"), "worker-behind": ("--clock-s", "-3600"),
                     "worker-right": ()})  # fmt: skip
        crew = Crew(stand)
        for n in range(jobs):
            crew.post(Order.SLEEP if n % 20 == 0 else Order.NONE)
        seconds = crew.settle(timeout_s=60 + jobs)
        verdict, taken = crew.verdict(), deliveries(stand)
        tell([crew.row(f"clocks 1 h off ({taken} deliveries)", jobs, seconds, verdict)])
        assert stand.fleet.surprises() == []
    assert faultless(verdict)
    assert verdict.most_runs < 3
    # A wrong clock gives messages back too early, again and again; a hot loop would be thousands.
    assert taken < 10 * jobs


@forms("poison", 1, 3)
def test_a_picture_that_crashes_the_engine_fails_alone(poison, tmp_path, tell) -> None:
    """Row 24: each in a batch of sixteen; after three attempts it has failed with `worker_lost`."""
    with standing(tmp_path, broker="redis", workers=1, settings=LIVELY) as stand:
        crew, seconds = Crew(stand), []
        for _ in range(poison):
            in_one_batch(crew, Order.SEGFAULT)
            seconds.append(crew.settle())
        for _ in range(10 if poison > 1 else 1):
            crew.post(*[Order.NONE] * 45)
        crew.settle()
        verdict, crashes = crew.verdict(), [death.code for death in stand.fleet.surprises()]
        tell([crew.row(f"segfault in the engine ({len(crashes)} crashes)", poison, max(seconds),
                       verdict)])  # fmt: skip
    assert faultless(verdict)
    assert crashes == [-signal.SIGSEGV] * 3 * poison
    # The picture that ran before the batch may not have been stored yet.
    assert poison * (BATCH + 1) <= verdict.extra_runs <= poison * (BATCH + 2)
