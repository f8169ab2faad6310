"""One look-up of a name, within a bound that the system's own resolver does not have."""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from captioner.errors import UrlFetchFailed, UrlUnreachable
from captioner.outbound.addresses import Address, parse
from captioner.outbound.deadline import Deadline

Resolve = Callable[[str], Sequence[str]]
"""From a host name to its addresses, as text. Raises OSError, as `socket.getaddrinfo` does."""

_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA)


def system_resolve(host: str) -> Sequence[str]:
    """What this machine finds: hosts file, search domains and name servers."""
    # As bytes, since Python would encode a str anew, by rules older than those of `urls`.
    found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """Looks names up, each in a thread of its own: a call of the system's cannot be stopped.

    At most `places` look-ups are under way, those included that hang and that no one awaits.
    """

    def __init__(self, resolve: Resolve = system_resolve, *, places: int = 64) -> None:
        self._resolve = resolve
        self._places = threading.BoundedSemaphore(places)

    def look_up(self, host: str, *, deadline: Deadline) -> list[Address]:
        """All addresses of the name, in order, at least one.

        Raises `UrlFetchFailed` when there is no such name, `UrlUnreachable` when no answer came.
        """
        try:
            found = self._ask(host, deadline)
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                raise UrlFetchFailed(f"There is no host {host}.") from error
            raise UrlUnreachable(f"The host {host} could not be looked up.") from error
        except (OSError, RuntimeError) as error:  # TimeoutError, and no more threads to be had
            raise UrlUnreachable(f"The host {host} could not be looked up.") from error
        if not found:
            raise UrlFetchFailed(f"The host {host} has no address.")
        return [parse(text) for text in found]

    def _ask(self, host: str, deadline: Deadline) -> Sequence[str]:
        if not self._places.acquire(timeout=deadline.left_s()):
            raise TimeoutError("too many look-ups hang")
        answer: Future[Sequence[str]] = Future()
        try:
            threading.Thread(target=self._run, args=(host, answer), daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise
        return answer.result(timeout=deadline.left_s())

    def _run(self, host: str, answer: "Future[Sequence[str]]") -> None:
        try:
            answer.set_result(self._resolve(host))
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            answer.set_exception(error)
        finally:
            self._places.release()
