"""Knowing that an answer was sent to its end: a job that is not kept goes only then."""

import socket
from collections.abc import Callable, Iterable, Iterator

from flask import Response, request

from api.current import services
from models import Job, JobState


def forget_when_sent(response: Response, job: Job) -> Response:
    """The same response; once it was sent, its job counts as delivered.

    Changes nothing for a job that is kept, or is not final. An answer that broke off, to a client
    that had gone, or to a HEAD, delivers nothing.
    """
    if job.stored or not JobState(job.state).final:
        return response
    retention, client = services().retention, request.environ.get("gunicorn.socket")

    def sent() -> None:
        if _is_there(client):
            retention.delivered(job.id)

    body = response.get_data()
    response.response = Sent([body], then=sent)
    response.content_length = len(body)
    return response


class Sent:
    """A body that knows whether all of it was taken.

    A server asks for the next piece when it has handed the one before to the network, so the call
    is made after the last; not from `close`, which servers call for broken answers too.
    """

    def __init__(self, pieces: Iterable[bytes], *, then: Callable[[], object]) -> None:
        self._pieces = pieces
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self._then()


def _is_there(client: socket.socket | None) -> bool:
    """Whether the client still has its side of the connection open."""
    if client is None:
        return True
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
