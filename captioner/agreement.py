"""Settings that are held against each other: what must hold of some of them together."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from captioner import vllm

if TYPE_CHECKING:
    from captioner.settings import Settings


class Rule(NamedTuple):
    """What must hold, and what is said where it does not: `{name}` is that setting."""

    holds: Callable[["Settings"], bool]
    says: str


RULES = (
    Rule(
        lambda its: its.max_waiters < its.api_threads,
        "{max_waiters} must be below {api_threads}: else waiting calls could take every thread of "
        "the API",
    ),
    Rule(
        lambda its: not its.worker_concurrency or its.worker_concurrency >= 2 * its.max_batch,
        "{worker_concurrency} must be at least twice {max_batch}: else batches can never fill",
    ),
    Rule(
        lambda its: its.lease_s >= 3 * its.heartbeat_s,
        "{lease_s} must be at least three times {heartbeat_s}: else leases run out between "
        "renewals",
    ),
    Rule(
        lambda its: its.max_bodies_bytes >= _largest_body(its),
        "{max_bodies_bytes} must be at least as much as {max_image_bytes}, and as the smaller one "
        "of {max_json_bytes} and {max_body_bytes}: else the largest request that is allowed could "
        "never be read",
    ),
    Rule(
        lambda its: its.vllm_timeout_s < its.hang_s or not _asks_vllm(its),
        "{vllm_timeout_s} must be below {hang_s}: else a worker would end itself while it waits",
    ),
    Rule(
        lambda its: its.thumbnail_small <= its.thumbnail_medium,
        "{thumbnail_small} must not be above {thumbnail_medium}",
    ),
    Rule(
        lambda its: its.wait_s <= its.max_wait_s,
        "{wait_s} must not be above {max_wait_s}",
    ),
    Rule(
        lambda its: its.max_images <= its.max_queued_per_caller <= its.max_queued,
        "{max_images}, {max_queued_per_caller} and {max_queued} must not fall: else the queue has "
        "no room for the largest request, or for a caller's share",
    ),
)


def contradictions(settings: "Settings") -> Iterator[str]:
    """What is said of each rule that is broken, with the variables and their values."""
    shown = {name: _shown(name, value) for name, value in settings}
    return (rule.says.format_map(shown) for rule in RULES if not rule.holds(settings))


def _shown(name: str, value: object) -> str:
    return f"CAPTIONER_{name.upper()}={f'{value:g}' if isinstance(value, float) else value}"


def _largest_body(settings: "Settings") -> int:
    json = min(settings.max_json_bytes, settings.max_body_bytes)
    return max(json, settings.max_image_bytes)


def _asks_vllm(settings: "Settings") -> bool:
    return any(map(vllm.is_address, settings.model_sources.values()))
