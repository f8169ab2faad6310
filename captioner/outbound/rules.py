"""What may be called: the public internet, and what an operator allows beyond it."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from captioner.outbound.addresses import Address, is_public
from captioner.outbound.hosts import is_name

USUAL_PORTS = frozenset({80, 443})
_INNER_NAMES = ("localhost", "metadata.google.internal")


@dataclass(frozen=True)
class Entry:
    """One thing allowed: a network or a host name, and its ports. `ports` None: every port."""

    network: IPv4Network | IPv6Network | None
    name: str
    ports: frozenset[int] | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `10.0.0.0/8`, `[fd00::1]:9000`, `files.local:9000` or `files.local:*`.

        Without a port, 80 and 443 are meant. Raises ValueError.
        """
        host, ports = _split(text.strip().lower())
        try:
            return cls(ip_network(host), "", ports)
        except ValueError:
            name = host.removesuffix(".")
            if not is_name(name):
                raise ValueError(f"{text!r} is no network, address or host name") from None
            return cls(None, name, ports)

    def has(self, port: int) -> bool:
        """Whether the port is one of the entry."""
        return self.ports is None or port in self.ports


def _split(text: str) -> tuple[str, frozenset[int] | None]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]") or (":" in host and "]" not in host):
        return text.removeprefix("[").removesuffix("]"), USUAL_PORTS
    host = host.removeprefix("[").removesuffix("]")
    if port == "*":
        return host, None
    if not (port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{text!r} has no port that there is")
    return host, frozenset({int(port)})


class Rules:
    """Decides about a host and port by name, and about an address that a name stands for."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._entries = tuple(Entry.parse(text) for text in allow)

    def allows_port(self, host: str, port: int) -> bool:
        """Whether the port may be called at all, as far as that shows before a look-up."""
        by_entry = any(entry.has(port) for entry in self._entries if entry.name in ("", host))
        return port in USUAL_PORTS or by_entry

    def allows_name(self, host: str, port: int) -> bool:
        """Whether the name may be looked up. Names that only ever lead inside may not."""
        inner = any(host == name or host.endswith(f".{name}") for name in _INNER_NAMES)
        return not inner or self._names(host, port)

    def allows_address(self, address: Address, *, host: str, port: int) -> bool:
        """Whether a connection to the address may be opened, for a URL with this host and port."""
        if self._names(host, port) or self._covers(address, port):
            return True
        return port in USUAL_PORTS and is_public(address)

    def _names(self, host: str, port: int) -> bool:
        return any(entry.name == host and entry.has(port) for entry in self._entries)

    def _covers(self, address: Address, port: int) -> bool:
        networks = (entry.network for entry in self._entries if entry.has(port))
        return any(network is not None and address in network for network in networks)
