"""image pipeline: what files say of themselves; how many images ended how, and after what time

Every change adds: code of the version before goes on working on these tables. What it ends is not
counted at once; a worker's cleaner counts it within an hour.

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op


revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "image_details",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("camera", sa.String(length=128), nullable=True),
        sa.Column("taken_at", sa.String(length=32), nullable=True),
        sa.Column("orientation", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_image_details_job_id_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_image_details")),
    )
    op.create_index("ix_image_details_owner_job_id", "image_details", ["owner", "job_id"])
    op.create_table(
        "result_tallies",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("images", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "state", "bucket", name=op.f("pk_result_tallies")),
    )
    op.execute(
        "INSERT INTO result_tallies (shard, state, bucket, images, seconds) "
        "SELECT 16, state, -1, count(*), 0 FROM job_images "
        "WHERE state IN ('succeeded', 'failed', 'canceled') GROUP BY state"
    )


def downgrade() -> None:
    op.drop_table("result_tallies")
    op.drop_index("ix_image_details_owner_job_id", table_name="image_details")
    op.drop_table("image_details")
