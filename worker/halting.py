"""Stops the work that nobody wants any more: canceled, past its deadline, or taken away."""

from collections.abc import Mapping
from uuid import UUID

from captioner import jobs
from captioner.database import Database
from captioner.errors import Canceled, CaptionerError
from captioner.wakeups import Herald
from captioner.work import Claim
from models import CancelCause, JobState
from worker.leases import HeldClaims

LOOK_S = 0.5
"""Seconds between two looks, while anything is held."""


class Halting:
    """One look at a time: `look` is called again and again by the keeper."""

    def __init__(self, database: Database, held: HeldClaims, herald: Herald) -> None:
        self._database = database
        self._held = held
        self._herald = herald

    def look(self) -> None:
        """Expire the jobs that are due, and halt the claims that are in vain.

        Nothing is asked while nothing is held: then the reconciler's turn is soon enough.
        """
        claims = self._held.all()
        if claims:
            expired, in_vain = self._ask(claims)
            self._herald.announce(expired)
            # Those that wait before those that run: else one that is freed begins with the next.
            for claim, cause in reversed(list(in_vain.items())):
                self._held.stop(claim, _why(cause))

    def _ask(
        self, claims: list[Claim]
    ) -> tuple[Mapping[UUID, JobState], Mapping[Claim, CancelCause | None]]:
        with self._database.write() as session:
            return jobs.expire_due(session), jobs.held_no_longer(session, claims)


def _why(cause: CancelCause | None) -> CaptionerError:
    if cause is None:  # another attempt has it, or it is deleted: nobody will read this
        return Canceled("This attempt does not hold the picture any more.")
    return jobs.reason(cause)
