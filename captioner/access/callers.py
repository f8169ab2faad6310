"""Who asks, as far as that is known."""

from dataclasses import dataclass
from uuid import UUID

from captioner.errors import Forbidden
from models import Scope


@dataclass(frozen=True)
class Caller:
    """One who shows a key, or anybody where none is asked for."""

    owner: str | None
    """Whose jobs these are; `None` for anybody, and empty for one who showed no key."""
    scopes: frozenset[Scope]
    key_id: UUID | None = None

    @property
    def sees(self) -> str | None:
        """The owner whose jobs are seen; `None`: everybody's."""
        return None if Scope.ADMIN in self.scopes else self.owner

    def require(self, scope: Scope) -> None:
        """Raise `Forbidden` unless the key allows this."""
        if not self.scopes & {scope, Scope.ADMIN}:
            raise Forbidden(
                f"The key has not the scope '{scope}'; it has: {', '.join(sorted(self.scopes))}.",
                scope=str(scope),
            )

    def share(self, address: str) -> str:
        """Under which name its share of the queue and its idempotency keys are kept."""
        return address if self.owner is None else f"owner:{self.owner}"

    def account(self, address: str) -> str:
        """Under which name its requests and pictures are counted: the key's, else the address."""
        return f"key:{self.key_id or 'setting'}" if self.owner else f"ip:{address}"


ANYBODY = Caller(None, frozenset(Scope))
"""Where no key is asked for: may do all, as before there were keys."""
NOBODY = Caller("", frozenset())
"""Who showed no key where one is asked for: sees and does nothing, and counts by address."""
