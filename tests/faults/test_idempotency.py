"""Fault rows 15 and 16 in full. Prints the figures; takes some minutes."""

import time
from pathlib import Path

import pytest

from captioner.database import Database
from tests import keyed, processes, stacks
from tests.empty import emptied

pytestmark = pytest.mark.long

PARALLEL_KEYS, TIMES = 500, 20
KILLED_KEYS, LAST = 1_000, 12


@pytest.fixture(params=stacks.NAMES)
def own(request: pytest.FixtureRequest, tmp_path: Path):
    with stacks.started(request.param, tmp_path) as stack, emptied(stack, tmp_path) as own:
        yield own


def test_five_hundred_keys_twenty_times_at_once(own, tmp_path) -> None:
    keys, began = keyed.keys(PARALLEL_KEYS), time.monotonic()
    with processes.service(own.environment, tmp_path, workers=0, ready=False) as base:
        answers = keyed.send_all_at_once(base, keys, times=TIMES)
    database = Database(own.database_url)
    made = keyed.jobs_made(database, keys)
    database.close()
    print(
        f"\n{own.name}: {PARALLEL_KEYS} keys x {TIMES}: {made} jobs, "
        f"answers {dict(answers.statuses)}, {time.monotonic() - began:.0f} s"
    )
    assert made == PARALLEL_KEYS
    assert set(answers.statuses) <= {"202", "409"}
    assert all(len(answers.jobs[key]) == 1 for key in keys)


def test_a_thousand_keys_while_the_api_is_killed_before_commits(own, tmp_path) -> None:
    port, keys, began = processes.free_port(), keyed.keys(KILLED_KEYS), time.monotonic()
    log = tmp_path / "api.log"
    with keyed.dying_api(own.environment, tmp_path, last=LAST, port=port):
        base = f"http://127.0.0.1:{port}"
        processes.until(lambda: processes.answers(f"{base}/healthz"), what=f"API (see {log})")
        answers = keyed.send_until_accepted(base, keys, callers=8)
    database = Database(own.database_url)
    made = keyed.jobs_made(database, keys)
    database.close()
    print(
        f"\n{own.name}: {KILLED_KEYS} keys, API killed before every {LAST}th commit: {made} jobs, "
        f"answers {dict(answers.statuses)}, {time.monotonic() - began:.0f} s"
    )
    assert answers.statuses["cut off"] > 0
    assert made == KILLED_KEYS
    assert set(answers.statuses) <= {"202", "409", "503", "cut off"}
    assert all(len(answers.jobs[key]) == 1 for key in keys)
