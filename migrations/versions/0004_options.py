"""options: how a job's captions are to be made, what is known of each beyond its text, and how
often one was known before

Every change adds: code of the version before goes on working on these tables.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op


revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("options", sa.Text(), nullable=True))
    op.add_column("job_images", sa.Column("score", sa.Double(), nullable=True))
    op.add_column("job_images", sa.Column("others", sa.Text(), nullable=True))
    op.create_table(
        "cache_tallies",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("misses", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_cache_tallies")),
    )


def downgrade() -> None:
    op.drop_table("cache_tallies")
    op.drop_column("job_images", "others")
    op.drop_column("job_images", "score")
    op.drop_column("jobs", "options")
