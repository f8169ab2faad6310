"""styling: the styles that a job asks for, and what became of them with each image

Every change adds: code of the version before goes on working on these tables. It gives an image of
a job with styles its plain caption, and no styles.

Revision: 0009, after 0008
"""

import sqlalchemy as sa
from alembic import op


revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TO_STYLE = sa.text("state = 'styling'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("styling", sa.Text(), nullable=True))
    op.add_column("job_images", sa.Column("styler", sa.String(length=16), nullable=True))
    op.add_column("job_images", sa.Column("styled", sa.Text(), nullable=True))
    op.add_column("job_images", sa.Column("style_status", sa.String(length=16), nullable=True))
    op.add_column("job_images", sa.Column("style_code", sa.String(length=64), nullable=True))
    op.add_column("job_images", sa.Column("style_detail", sa.Text(), nullable=True))
    op.create_index(
        "ix_job_images_to_style",
        "job_images",
        ["styler", "rank"],
        postgresql_where=TO_STYLE,
        sqlite_where=TO_STYLE,
    )
    op.add_column("workers", sa.Column("stylers", sa.JSON(), nullable=True))


def downgrade() -> None:
    # Nobody would style these: they are captioned once more, without.
    op.execute(
        "UPDATE job_images SET state = 'queued', lease_until = NULL, published_at = NULL "
        "WHERE state = 'styling'"
    )
    op.drop_column("workers", "stylers")
    op.drop_index("ix_job_images_to_style", "job_images")
    for column in ("style_detail", "style_code", "style_status", "styled", "styler"):
        op.drop_column("job_images", column)
    op.drop_column("jobs", "styling")
