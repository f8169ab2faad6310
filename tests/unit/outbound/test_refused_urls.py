"""Rows 21 and 22 of the abuse matrix: what is refused by its text or by where its name leads."""

import pytest

from captioner.errors import UrlNotAllowed
from captioner.outbound.client import Outbound
from captioner.outbound.rules import Rules
from captioner.outbound.urls import check
from tests.unit.outbound.servers import body, serve

TEXTS = [
    "",
    "pictures.example/cat.png",
    "//pictures.example/cat.png",
    "file:///etc/passwd",
    "ftp://pictures.example/cat.png",
    "gopher://pictures.example:80/_GET",
    "data:image/png;base64,AAAA",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "http://user@pictures.example/",
    "http://user:secret@pictures.example/",
    "http://pictures.example@127.0.0.1/",
    "http://:@pictures.example/",
    "http://",
    "http:///cat.png",
    "http:pictures.example",
    "https://?x",
    "http://.",
    "http://pictures..example/",
    "http://pictures.example:22/",
    "http://pictures.example:6379/",
    "http://pictures.example:25/",
    "http://pictures.example:0/",
    "http://pictures.example:-80/",
    "http://pictures.example:65616/",
    "http://pictures.example:http/",
    "http://pictures.example\\@127.0.0.1/",
    "http://pictures.example/..\\inner",
    "http://pictures.example/ cat.png",
    "http://pictures.example/\r\nHost: inner",
    "http://pictures.example/\tcat.png",
    "http://pictures.example\u2028/",
    "http://pictures.example/\ud800",
    "http://%31%32%37.0.0.1/",
    "http://pict%00ures.example/",
    f"http://pictures.example/{'a' * 2048}",
    f"http://{'a' * 64}.example/",
    f"http://{'a.' * 127}example/",
]

ADDRESSES = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::7f00:1",
    "::a9fe:a9fe",
    "0:0:0:0:0:0:0:1",
    "fd00:ec2::254",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "2a00:1450::5efe:7f00:1",
    "2a00:1450::200:5efe:127.0.0.1",
    "4000::1",
]

ODD_FORMS = [
    "0",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0X7F000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "010.0.0.1",
    "127.0.0.1.",
    "127.1.",
    "0x",
    "1.2.3.4.5",
    "256.1.1.1",
    "4294967296",
    "①②⑦.0.0.1",
    "127.0.0.1",
    "127。0。0。1",
    "[::1",
    "[::1]x",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[1.2.3.4]",
    "[v1.fe80::a]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "inner.localhost",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
]


def literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def resolve_nothing(host: str) -> list[str]:
    raise AssertionError(f"{host!r} was looked up")


@pytest.fixture
def canary():
    """Something inside that listens: what is refused must not get through to it."""
    with serve(body(b"inside")) as server:
        yield server


@pytest.fixture
def outbound(canary) -> Outbound:
    """The canary's port is no reason to refuse: something else may be called there."""
    rules = Rules((f"unrelated.example:{canary.port}", f"8.8.8.8:{canary.port}"))
    return Outbound(rules, timeout_s=2, resolve=resolve_nothing)


@pytest.mark.parametrize("url", TEXTS)
def test_a_url_of_a_wrong_kind_is_refused_before_anything_happens(url, outbound, attempts) -> None:
    with pytest.raises(UrlNotAllowed):
        outbound.fetch(url, max_bytes=1000)

    assert attempts == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", [*map(literal, ADDRESSES), *ODD_FORMS])
def test_an_address_inside_is_refused_and_never_connected_to(
    host, scheme, outbound, canary, attempts
) -> None:
    for port in ("", f":{canary.port}"):
        with pytest.raises(UrlNotAllowed):
            outbound.fetch(f"{scheme}://{host}{port}/latest/meta-data", max_bytes=1000)
        with pytest.raises(UrlNotAllowed):
            outbound.post(f"{scheme}://{host}{port}/hook", body=b"{}", headers={})

    assert attempts == []
    assert canary.connections == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_that_leads_inside_is_refused_and_never_connected_to(address, attempts) -> None:
    outbound = Outbound(Rules(), timeout_s=2, resolve=lambda host: [address])

    with pytest.raises(UrlNotAllowed) as refused:
        outbound.fetch("http://pictures.example/cat.png", max_bytes=1000)

    assert attempts == []
    assert address not in refused.value.detail, "where an inner name leads is nobody's business"


@pytest.mark.parametrize("position", [0, 1, 2, 9])
def test_one_inner_address_among_many_is_enough_to_refuse(position, attempts) -> None:
    answer = ["93.184.215.14"] * 10
    answer[position] = "10.0.0.7"
    outbound = Outbound(Rules(), timeout_s=2, resolve=lambda host: answer)

    with pytest.raises(UrlNotAllowed):
        outbound.fetch("http://pictures.example/cat.png", max_bytes=1000)

    assert attempts == []


def test_the_canary_and_the_count_would_notice_a_connection(canary, attempts) -> None:
    outbound = Outbound(Rules((f"127.0.0.1:{canary.port}",)), resolve=resolve_nothing)

    assert outbound.fetch(f"http://127.0.0.1:{canary.port}/", max_bytes=1000) == b"inside"
    assert attempts == [("127.0.0.1", canary.port)]
    assert canary.connections == 1


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://pictures.example/cat.png?sig=a%2Fb&x=1#part", "pictures.example", 80),
        ("HTTPS://Pictures.Example:443/", "pictures.example", 443),
        ("https://pictures.example.:80/", "pictures.example", 80),
        ("http://bücher.example/ü.png", "xn--bcher-kva.example", 80),
        ("http://my_files.example/", "my_files.example", 80),
        ("http://3com.example/", "3com.example", 80),
        ("http://8.8.8.8/", "8.8.8.8", 80),
        ("http://172.32.0.1/", "172.32.0.1", 80),
        ("http://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 80),
        ("http://[64:ff9b::8.8.8.8]/", "64:ff9b::8.8.8.8", 80),
        ("http://[::ffff:8.8.8.8]/", "::ffff:8.8.8.8", 80),
    ],
)
def test_a_url_of_the_public_internet_passes(url, host, port) -> None:
    target = check(url, Rules())

    assert (target.host, target.port) == (host, port)
