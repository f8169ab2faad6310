"""How a route reaches the services of its application."""

from typing import cast

from flask import current_app

from captioner.services import Services


def services() -> Services:
    """The services that `create_app` was given."""
    return cast(Services, current_app.extensions["captioner"])
