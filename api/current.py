"""How a route reaches the services of its application."""

from typing import cast

from flask import current_app, g

from api.room import Room
from captioner.access.callers import Caller
from captioner.services import Services


def services() -> Services:
    """The services that `create_app` was given."""
    return cast(Services, current_app.extensions["captioner"])


def room() -> Room:
    """The room for bodies in this process's memory."""
    return cast(Room, current_app.extensions["captioner.room"])


def caller() -> Caller:
    """Who makes this request. `caller().sees` is the owner whose jobs it may see."""
    return cast(Caller, g.caller)
