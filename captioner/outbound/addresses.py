"""Which IP addresses belong to the public internet.

Our own list, as `ipaddress` calls some addresses global that lead inside: NAT64, 6to4 and
IPv4-compatible forms of private ones, multicast, and 192.0.0.192. For IPv6 it is the other way
round: what is not global unicast (2000::/3) is refused. Source: the special-purpose registries of
IANA (RFC 6890) and the metadata services of the large clouds.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network, the unspecified address
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; a cloud's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's service for its machines
        "169.254.0.0/16",  # link-local; metadata services
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, with Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)


def parse(text: str) -> Address:
    """The address of a text in its usual form, IPv4 where it only stands for one (`::ffff:…`).

    Raises ValueError, also for one with a zone (`fe80::1%eth0`).
    """
    address = ip_address(text)
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError(f"{text!r} has a zone")
    return address.ipv4_mapped or address


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet, also after translation (NAT64)."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    if address.ipv4_mapped:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return _is_public_v6(address)


def _is_public_v6(address: IPv6Address) -> bool:
    holds_v4 = (int(address) >> 32) & 0xFFFFFFFF in _ISATAP
    refused = any(address in network for network in _REFUSED_V6)
    return address in _GLOBAL_V6 and not refused and not holds_v4
