"""Alembic migrations. Every one of them runs while the code of the version before is still up."""
