"""TLS goes to the checked address, and is verified against the name in the URL."""

import socket
import time

import pytest

from captioner.errors import UrlFetchFailed, UrlNotAllowed, UrlUnreachable
from captioner.outbound.client import Outbound
from captioner.outbound.rules import Rules
from tests.unit.outbound.certificates import Authority
from tests.unit.outbound.servers import body, drips, redirect, serve


@pytest.fixture
def authority(tmp_path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority, port: int, *, timeout_s: float = 5) -> Outbound:
    return Outbound(
        Rules((f"pictures.example:{port}", f"127.0.0.1:{port}")),
        timeout_s=timeout_s,
        resolve=lambda host: ["127.0.0.1"],
        tls=authority.client(),
    )


def test_the_name_stands_in_sni_and_host_and_the_certificate_is_verified(authority) -> None:
    tls = authority.server("pictures.example")
    asked = []
    tls.sni_callback = lambda connection, name, context: asked.append(name)
    with serve(body(b"picture"), tls=tls) as server:
        url = f"https://pictures.example:{server.port}/cat.png"
        data = trusting(authority, server.port).fetch(url, max_bytes=100)

    assert data == b"picture"
    assert asked == ["pictures.example"]
    assert f"Host: pictures.example:{server.port}".encode() in server.requests[0]


def test_a_certificate_for_an_address_is_verified_against_the_address(authority) -> None:
    with serve(body(b"picture"), tls=authority.server("127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}/"

        assert trusting(authority, server.port).fetch(url, max_bytes=100) == b"picture"


@pytest.mark.parametrize(
    ("host", "days"), [("other.example", 1), ("127.0.0.1", 1), ("pictures.example", -1)]
)
def test_a_certificate_that_is_not_the_names_is_refused(authority, host, days) -> None:
    with serve(body(b"picture"), tls=authority.server(host, days=days)) as server:
        outbound = trusting(authority, server.port)
        url = f"https://pictures.example:{server.port}/"
        with pytest.raises(UrlFetchFailed, match="TLS"):
            outbound.fetch(url, max_bytes=100)
        with pytest.raises(UrlFetchFailed, match="TLS"):
            outbound.post(url, body=b"secret", headers={})

    assert server.requests == [], "nothing is said to a stranger"


def test_an_authority_that_no_one_knows_is_refused(authority) -> None:
    with serve(body(b"picture"), tls=authority.server("pictures.example")) as server:
        rules = Rules((f"pictures.example:{server.port}",))
        outbound = Outbound(rules, resolve=lambda host: ["127.0.0.1"])
        with pytest.raises(UrlFetchFailed, match="TLS"):
            outbound.fetch(f"https://pictures.example:{server.port}/", max_bytes=100)

    assert server.requests == []


def test_a_server_without_tls_is_a_failed_fetch(authority) -> None:
    with serve(body(b"plain")) as server, pytest.raises(UrlFetchFailed, match="TLS"):
        trusting(authority, server.port).fetch(
            f"https://pictures.example:{server.port}/", max_bytes=100
        )


def test_a_redirect_from_https_to_http_is_refused(authority, attempts) -> None:
    with serve(body(b"plain")) as plain:
        location = f"http://pictures.example:{plain.port}/"
        with serve(redirect(location), tls=authority.server("pictures.example")) as server:
            outbound = Outbound(
                Rules(("pictures.example:*",)),
                resolve=lambda host: ["127.0.0.1"],
                tls=authority.client(),
            )
            with pytest.raises(UrlNotAllowed, match="https"):
                outbound.fetch(f"https://pictures.example:{server.port}/", max_bytes=100)

    assert attempts == [("127.0.0.1", server.port)]


def test_a_redirect_from_http_to_https_is_followed(authority) -> None:
    with (
        serve(body(b"picture"), tls=authority.server("pictures.example")) as secure,
        serve(redirect(f"https://pictures.example:{secure.port}/")) as plain,
    ):
        outbound = Outbound(
            Rules(("pictures.example:*",)),
            resolve=lambda host: ["127.0.0.1"],
            tls=authority.client(),
        )
        url = f"http://pictures.example:{plain.port}/"

        assert outbound.fetch(url, max_bytes=100) == b"picture"


def test_a_handshake_that_never_comes_ends_with_the_bound(authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(UrlUnreachable):
            trusting(authority, port, timeout_s=0.6).fetch(
                f"https://pictures.example:{port}/", max_bytes=100
            )

    assert 0.5 < time.monotonic() - began < 1


def test_a_slow_drip_inside_tls_ends_with_the_bound(authority) -> None:
    slow = drips(head=b"HTTP/1.1 200 OK\r\n\r\n", pause_s=0.02)
    with serve(slow, tls=authority.server("pictures.example")) as server:
        began = time.monotonic()
        with pytest.raises(UrlFetchFailed):
            trusting(authority, server.port, timeout_s=0.6).fetch(
                f"https://pictures.example:{server.port}/", max_bytes=100_000
            )

    assert 0.5 < time.monotonic() - began < 1
