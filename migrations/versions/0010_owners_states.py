"""owners' states: an index by which the jobs of an owner in one state are found, newest first

Code of the version before goes on working, and need not know of it.

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op


revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_jobs_owner_state_id",
        "jobs",
        ["owner", "state", "id"],
        postgresql_where=sa.text("owner IS NOT NULL"),
        sqlite_where=sa.text("owner IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_owner_state_id", table_name="jobs")
