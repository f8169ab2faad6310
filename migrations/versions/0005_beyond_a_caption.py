"""beyond a caption: whether it was asked for once more, its tags, and the answer to a question

Every change adds: code of the version before goes on working on these tables.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op


revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job_images", sa.Column("retried_for", sa.String(length=16), nullable=True))
    op.add_column("job_images", sa.Column("tags", sa.Text(), nullable=True))
    op.add_column("job_images", sa.Column("flagged", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("job_images", "flagged")
    op.drop_column("job_images", "tags")
    op.drop_column("job_images", "retried_for")
