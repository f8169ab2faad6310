"""Every change of state, as conditional updates. No other package changes a job or an image.

    image:  queued ──claim──> running ──finish──> succeeded | failed
              ^  ^              │  │
              │  └──release─────┘  └── its job is canceling ──> canceled
              │  └──lease ran out──┘   (after too many: failed, worker_lost)
              ├── its job is canceled, or its deadline passed ──> canceled
              └──retry── failed | canceled
              └── picture at its URL ──claim to fetch──> running ──fetched, fetch_later──> queued
            It is created `queued`, or final: `failed` where its picture was refused, `succeeded`
            where its caption is known.

            Where styles are wanted: running ──finish──> styling ──finish_styling──> succeeded.
            It is created `styling` where its caption is known. Canceled, past its deadline, or
            after too many lost attempts it is `succeeded` too, with its plain caption.

    job:    queued ──> running ──> succeeded | partial | failed     (follows from its images)
              │           │
              └───────────┴─cancel, deadline─> canceling ──> canceled | expired
                                               (or as above, when every image got its caption)
            It is created final if all its images are.
            A final job goes back to queued by `retry` alone.
            A job in any state may be deleted: then its rows are gone, and a line says so.

A claim raises `attempt` and sets a lease; a result is taken only from the attempt that the row
names, so a late or second delivery changes nothing. A job is `canceling` until no worker holds any
of its images. Times are the database's own.

Rows are locked in one order, so that no two changes block each other: images before jobs, jobs by
id. Where a job must come first (`cancel`), images that others hold are skipped, not waited for.
"""

from captioner.jobs.claiming import claim, hurried_next
from captioner.jobs.controlling import cancel, expire_due, reason, retry, stop_left
from captioner.jobs.creating import create
from captioner.jobs.deleting import (
    Gone,
    delete_delivered,
    delete_job,
    delete_old,
    delete_unfetched,
    drop_old_pictures,
)
from captioner.jobs.fetching import any_to_fetch, fetch_later, fetched
from captioner.jobs.finishing import finish
from captioner.jobs.keeping import held_no_longer, renew
from captioner.jobs.ranking import as_if_created, rank
from captioner.jobs.returning import adopt, release, take_back_expired
from captioner.jobs.styling import any_to_style, claim_to_style, finish_styling
from captioner.jobs.unstyled import take_back_styling

__all__ = [
    "Gone",
    "adopt",
    "any_to_fetch",
    "any_to_style",
    "as_if_created",
    "cancel",
    "claim",
    "claim_to_style",
    "create",
    "delete_delivered",
    "delete_job",
    "delete_old",
    "delete_unfetched",
    "drop_old_pictures",
    "expire_due",
    "fetch_later",
    "fetched",
    "finish",
    "finish_styling",
    "held_no_longer",
    "hurried_next",
    "rank",
    "reason",
    "release",
    "renew",
    "retry",
    "stop_left",
    "take_back_expired",
    "take_back_styling",
]
