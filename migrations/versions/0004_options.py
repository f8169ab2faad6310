"""options: how a job's captions are to be made, and what is known of each beyond its text

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
    op.add_column("job_images", sa.Column("score", sa.Float(), nullable=True))
    op.add_column("job_images", sa.Column("others", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job_images", "others")
    op.drop_column("job_images", "score")
    op.drop_column("jobs", "options")
