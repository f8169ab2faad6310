"""`captioner webhooks`: make a secret to sign with, and try a receiver."""

import click


@click.group()
def webhooks() -> None:
    """Make a secret that webhooks are signed with, or send a test message to a receiver.

    The secrets in force are CAPTIONER_WEBHOOK_SECRETS, newest first, with commas between: put a new
    one before the old one, and take the old one away when every receiver has the new one.
    """


@webhooks.command()
def secret() -> None:
    """Print a new secret. Give it to the API, the workers, and the receivers."""
    from captioner.webhooks.secret import new_secret

    click.echo(new_secret())


@webhooks.command()
@click.argument("url")
def test(url: str) -> None:
    """Send a signed message of the type `webhook.test` to URL, once, from this machine."""
    from captioner.outbound.client import Outbound
    from captioner.webhooks.trial import send_test
    from cli.environment import configure

    settings = configure()
    answer = send_test(url, settings, Outbound.from_settings(settings))
    if not answer.accepted:
        raise click.ClickException(f"The receiver answered {answer.status}; it should be 2xx.")
    click.echo(f"The receiver took it, with status {answer.status}.")
