"""`captioner cache`: forget the captions that are remembered."""

import click


@click.group()
def cache() -> None:
    """Forget captions that are remembered in Redis, at CAPTIONER_REDIS_URL.

    A picture that comes again, to be captioned in the same way, gets the caption that it had for as
    long as CAPTIONER_CACHE_TTL_S says.
    """


@cache.command()
@click.option("--model", help="Only captions of this model.")
def purge(model: str | None) -> None:
    """Forget all captions. Nothing else in Redis is touched, and no job changes."""
    from captioner.cache import Cache, connect
    from captioner.settings import load

    forgotten = Cache(connect(load().redis_url), ttl_s=0).purge(model)
    whose = f" of {model}" if model else ""
    click.echo(f"{forgotten} captions{whose} are forgotten.")
