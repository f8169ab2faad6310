"""`captioner db`: bring the database's tables to the version that this code needs."""

import click


@click.group()
def db() -> None:
    """Create or change the database's tables.

    The database is CAPTIONER_DATABASE_URL, or a SQLite file in CAPTIONER_DATA_DIR. Run `upgrade`
    once before the first start of the API or a worker, and after each update; `captioner up` does
    it by itself.
    """


@db.command()
@click.option("--revision", default="head", show_default=True, help="Stop at this revision.")
def upgrade(revision: str) -> None:
    """Bring the tables up to date."""
    from captioner import schema
    from cli.environment import configure

    settings = configure()
    before = schema.current(settings)
    schema.upgrade(settings, revision=revision)
    after = schema.current(settings)
    moved = "was there already" if before == after else f"was {before or 'empty'}"
    click.echo(f"The database is at {after or 'nothing'} ({moved}).")


@db.command()
def current() -> None:
    """Show the revision that the tables are at."""
    from captioner import schema
    from cli.environment import configure

    revision = schema.current(configure())
    click.echo(revision or "The database has no tables yet: run `captioner db upgrade`.")


@db.command()
@click.argument("revision")
def downgrade(revision: str) -> None:
    """Take the tables back to REVISION, such as -1 or base. This can delete data."""
    from captioner import schema
    from cli.environment import configure

    settings = configure()
    schema.downgrade(settings, revision=revision)
    click.echo(f"The database is at {schema.current(settings) or 'nothing: it has no tables'}.")
