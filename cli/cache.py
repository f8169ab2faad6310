"""`captioner cache`: forget the captions that are remembered."""

import click


@click.group()
def cache() -> None:
    """Forget captions that are remembered in Redis, at CAPTIONER_REDIS_URL.

    Where that is not set, it is the one of the `captioner up` that runs in CAPTIONER_DATA_DIR.

    A picture that comes again, to be captioned in the same way, gets the caption that it had for as
    long as CAPTIONER_CACHE_TTL_S says.
    """


@cache.command()
@click.option("--model", help="Only captions of this model.")
def purge(model: str | None) -> None:
    """Forget all captions. Nothing else in Redis is touched, and no job changes."""
    from captioner.addresses import for_people
    from captioner.cache import Cache, connect
    from captioner.errors import CacheUnavailable
    from cli import valkey
    from cli.environment import configure

    url = valkey.use_running(configure()).redis_url
    try:
        forgotten = Cache(connect(url), ttl_s=0).purge(model)
    except CacheUnavailable as error:
        raise CacheUnavailable(f"{error.detail} Its address: {for_people(url)}") from error
    whose = f" of {model}" if model else ""
    click.echo(f"{forgotten} captions{whose} are forgotten, in {for_people(url)}")
