"""The spans of the images of one message, from the claim to the row."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from captioner import tracing
from captioner.work import Claim, Outcome

if TYPE_CHECKING:
    from captioner.otlp import Teller


class NoSpans:
    """While no traces are told."""

    def begin(self, claim: Claim, stage: str) -> str:  # noqa: ARG002
        """A stage of the image begins, and the one before ends. Returns its origin."""
        return ""

    def landed(self, outcomes: Iterable[Outcome], stored: "Future[None]") -> None:
        """These are through; the future says when they are stored."""


NO_SPANS = NoSpans()


class Spans(NoSpans):
    """One span for each image, and within it one for each stage, one after another."""

    def __init__(self, teller: "Teller", claims: Sequence[Claim], *, since_ns: int) -> None:
        from captioner import otlp

        self._otlp, self._teller = otlp, teller
        self._images: dict[Claim, Any] = {}
        self._stages: dict[Claim, Any] = {}
        origins = teller.origins.of(claim.job_id for claim in claims)
        for claim in claims:
            self._images[claim] = teller.start(
                "image",
                origin=origins.get(claim.job_id, ""),
                at_ns=since_ns,
                attributes={
                    "job_id": str(claim.job_id),
                    "position": claim.position,
                    "attempt": claim.attempt,
                    "model": claim.model,
                },
            )
            self._stage(claim, "claim", since_ns).end()

    def begin(self, claim: Claim, stage: str) -> str:
        """As `NoSpans.begin`."""
        self._end_stage(claim)
        begun = self._stages[claim] = self._stage(claim, stage)
        return self._otlp.origin_of(begun)

    def landed(self, outcomes: Iterable[Outcome], stored: "Future[None]") -> None:
        """As `NoSpans.landed`."""
        storing = []
        for outcome in outcomes:
            image = self._images.pop(outcome.claim)
            if outcome.error is not None:
                self._otlp.fail(image, outcome.error)
            self._end_stage(outcome.claim)
            origin = self._otlp.origin_of(image)
            storing.append((image, self._teller.start("store", origin=origin)))

        def done(future: "Future[None]") -> None:
            error = None if future.cancelled() else future.exception()
            for image, store in storing:
                if error is not None:
                    self._otlp.fail(store, error)
                store.end()
                image.end()

        stored.add_done_callback(done)

    def _stage(self, claim: Claim, stage: str, at_ns: int | None = None) -> Any:
        origin = self._otlp.origin_of(self._images[claim])
        return self._teller.start(stage, origin=origin, at_ns=at_ns)

    def _end_stage(self, claim: Claim) -> None:
        stage = self._stages.pop(claim, None)
        if stage is not None:
            stage.end()


def of(claims: Sequence[Claim], *, since_ns: int) -> NoSpans:
    """The spans of these, claimed since then."""
    teller = tracing.teller()
    return NO_SPANS if teller is None else Spans(teller, claims, since_ns=since_ns)
