"""cancel, deadlines, priorities, events, idempotency keys, and what is left of deleted jobs

Every change adds: code of the version before goes on working on these tables.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op


revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JOB_STATES = "'queued', 'running', 'canceling', 'succeeded', 'partial', 'failed', 'canceled', 'expired'"
IMAGE_STATES = "'queued', 'running', 'styling', 'succeeded', 'failed', 'canceled'"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("jobs") as table:
        table.drop_constraint(op.f("ck_jobs_state_known"), type_="check")
        table.drop_constraint(op.f("ck_jobs_counts_within_images"), type_="check")
        table.add_column(sa.Column("canceled_count", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("caller", sa.String(128), server_default="", nullable=False))
        table.add_column(sa.Column("priority", sa.Integer(), server_default="1", nullable=False))
        table.add_column(sa.Column("deadline_at", INSTANT, nullable=True))
        table.add_column(sa.Column("cancel_cause", sa.String(16), nullable=True))
        table.add_column(sa.Column("stored", sa.Boolean(), server_default=sa.true(), nullable=False))
        table.add_column(sa.Column("expected_at", INSTANT, nullable=True))
        table.add_column(sa.Column("event_seq", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("run", sa.Integer(), server_default="1", nullable=False))
        table.create_check_constraint(op.f("ck_jobs_state_known"), f"state IN ({JOB_STATES})")
        table.create_check_constraint(
            op.f("ck_jobs_counts_within_images"),
            "succeeded_count + failed_count + canceled_count <= image_count",
        )
        table.create_index("ix_jobs_state_deadline_at", ["state", "deadline_at"])
        table.create_index("ix_jobs_finished_at", ["finished_at"])
        table.create_index(
            "ix_jobs_finished_at_unstored",
            ["finished_at"],
            postgresql_where=sa.text("NOT stored"),
            sqlite_where=sa.text("stored = 0"),
        )
        table.create_index("ix_jobs_caller_state", ["caller", "state"])
    with op.batch_alter_table("job_images") as table:
        table.drop_constraint(op.f("ck_job_images_state_known"), type_="check")
        table.add_column(sa.Column("source_url", sa.Text(), nullable=True))
        table.add_column(sa.Column("model", sa.String(64), server_default="", nullable=False))
        table.add_column(sa.Column("rank", sa.Double(), server_default="0", nullable=False))
        table.add_column(sa.Column("lost", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("fetch_failures", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("waiting_since", INSTANT, nullable=True))
        table.add_column(sa.Column("event_seq", sa.Integer(), nullable=True))
        table.add_column(sa.Column("batch_size", sa.Integer(), nullable=True))
        table.create_check_constraint(op.f("ck_job_images_state_known"), f"state IN ({IMAGE_STATES})")
        table.create_index("ix_job_images_state_model_rank", ["state", "model", "rank"])
        table.create_index(
            "ix_job_images_finished_at_with_picture",
            ["finished_at"],
            postgresql_where=sa.text("blob_sha256 IS NOT NULL"),
            sqlite_where=sa.text("blob_sha256 IS NOT NULL"),
        )
        table.create_index(
            "ix_job_images_to_fetch",
            ["model", "state", "rank"],
            postgresql_where=sa.text("blob_sha256 IS NULL AND source_url IS NOT NULL"),
            sqlite_where=sa.text("blob_sha256 IS NULL AND source_url IS NOT NULL"),
        )
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("host", sa.String(255), server_default="", nullable=False))
        table.add_column(sa.Column("pid", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("draining", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.add_column(sa.Column("held", sa.Integer(), server_default="0", nullable=False))
        table.add_column(sa.Column("pace", sa.JSON(), server_default="{}", nullable=False))
    op.execute("UPDATE job_images SET model = (SELECT model FROM jobs WHERE jobs.id = job_id)")
    op.execute("UPDATE job_images SET lost = attempt WHERE state = 'queued'")
    op.execute(
        "UPDATE job_images SET event_seq = position + 1 WHERE state IN ('succeeded', 'failed')"
    )
    op.execute("UPDATE jobs SET event_seq = image_count + 1")
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.String(128), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "deleted_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deleted_at", INSTANT, nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_jobs")),
    )
    op.create_index("ix_deleted_jobs_deleted_at", "deleted_jobs", ["deleted_at"])


def downgrade() -> None:
    op.drop_table("deleted_jobs")
    op.drop_table("idempotency_keys")
    # What the version before has no word for.
    op.execute(
        "UPDATE job_images SET state = 'failed', error_code = coalesce(error_code, 'canceled')"
        " WHERE state = 'canceled'"
    )
    op.execute("UPDATE job_images SET state = 'succeeded' WHERE state = 'styling'")
    op.execute("UPDATE jobs SET failed_count = failed_count + canceled_count, canceled_count = 0")
    op.execute("UPDATE jobs SET state = 'running' WHERE state = 'canceling'")
    op.execute(
        "UPDATE jobs SET state = CASE WHEN succeeded_count > 0 THEN 'partial' ELSE 'failed' END"
        " WHERE state IN ('canceled', 'expired')"
    )
    with op.batch_alter_table("workers") as table:
        for name in ("host", "pid", "draining", "held", "pace"):
            table.drop_column(name)
    with op.batch_alter_table("job_images") as table:
        table.drop_index("ix_job_images_to_fetch")
        table.drop_index("ix_job_images_finished_at_with_picture")
        table.drop_index("ix_job_images_state_model_rank")
        table.drop_constraint(op.f("ck_job_images_state_known"), type_="check")
        for name in ("source_url", "model", "rank", "lost", "fetch_failures", "waiting_since", "event_seq", "batch_size"):
            table.drop_column(name)
        table.create_check_constraint(
            op.f("ck_job_images_state_known"), "state IN ('queued', 'running', 'succeeded', 'failed')"
        )
    with op.batch_alter_table("jobs") as table:
        for name in (
            "ix_jobs_state_deadline_at", "ix_jobs_finished_at", "ix_jobs_finished_at_unstored",
            "ix_jobs_caller_state",
        ):
            table.drop_index(name)
        table.drop_constraint(op.f("ck_jobs_state_known"), type_="check")
        table.drop_constraint(op.f("ck_jobs_counts_within_images"), type_="check")
        for name in (
            "canceled_count", "caller", "priority", "deadline_at", "cancel_cause", "stored",
            "expected_at", "event_seq", "run",
        ):
            table.drop_column(name)
        table.create_check_constraint(
            op.f("ck_jobs_state_known"),
            "state IN ('queued', 'running', 'succeeded', 'partial', 'failed')",
        )
        table.create_check_constraint(
            op.f("ck_jobs_counts_within_images"), "succeeded_count + failed_count <= image_count"
        )
