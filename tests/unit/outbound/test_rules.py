"""What an operator allows beyond the public internet."""

import re

import pytest
from pydantic import ValidationError

from captioner.errors import UrlNotAllowed
from captioner.outbound.addresses import parse
from captioner.outbound.client import Outbound
from captioner.outbound.rules import Rules
from captioner.outbound.urls import check
from captioner.settings import Settings
from tests.unit.outbound.servers import body, serve


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("10.0.0.0/8", "http://10.1.2.3/"),
        ("10.1.2.3", "https://10.1.2.3/"),
        ("10.1.2.3:9000", "http://10.1.2.3:9000/"),
        ("10.0.0.0/8:9000", "http://10.1.2.3:9000/"),
        ("10.0.0.0/8:*", "http://10.1.2.3:65535/"),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/"),
        ("fd00::/8", "http://[fd00::1]/"),
        ("[fd00::1]:9000", "http://[fd00::1]:9000/"),
        ("fd00::1", "http://[fd00::1]/"),
        ("[fd00::/8]:*", "http://[fd00::1]:81/"),
        ("files.local:9000", "http://FILES.local.:9000/"),
        ("localhost:8080", "http://localhost:8080/"),
        ("metadata.google.internal", "http://metadata.google.internal/"),
        ("pictures.example:8443", "https://pictures.example:8443/"),
        ("10.0.0.0/8:9000", "http://pictures.example:9000/"),  # where it leads shows later
    ],
)
def test_an_entry_allows_what_it_names(entry, url) -> None:
    with pytest.raises(UrlNotAllowed):
        check(url if entry[0] != "p" else "http://127.0.0.1/", Rules())

    assert check(url, Rules((entry,)))


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:9000/"),
        ("10.0.0.0/8:9000", "http://10.1.2.3/"),
        ("10.0.0.0/8", "http://11.0.0.1:81/"),
        ("10.0.0.0/8", "http://127.0.0.1/"),
        ("10.0.0.0/8:*", "http://127.0.0.1:9000/"),
        ("10.0.0.0/8", "http://[64:ff9b::10.0.0.1]/"),
        ("fe80::/10", "http://[fe80::1%25eth0]/"),
        ("files.local:9000", "http://files.local:9001/"),
        ("files.local:9000", "http://evil.files.local:9000/"),
        ("files.local", "http://localhost/"),
        ("169.254.0.0/16", "http://metadata.google.internal/"),
    ],
)
def test_an_entry_allows_nothing_else(entry, url) -> None:
    with pytest.raises(UrlNotAllowed):
        check(url, Rules((entry,)))


@pytest.mark.parametrize(
    "entry",
    [
        "",
        ":80",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0",
        "0x7f000001",
        "fd00::1::2",
        "http://files.local",
        "files.local:0",
        "files.local:65536",
        "files.local:",
        "a:b",
        "two words",
        "*.local",
    ],
)
def test_an_entry_that_makes_no_sense_is_refused(entry) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(entry))):
        Rules((entry,))


def test_a_name_that_is_allowed_may_lead_anywhere() -> None:
    rules = Rules(("Files.Local.",))
    inside = parse("10.0.0.1")

    assert rules.allows_address(inside, host="files.local", port=443)
    assert not rules.allows_address(inside, host="files.local", port=8443)
    assert not rules.allows_address(inside, host="other.local", port=443)


def test_the_setting_is_refused_by_name_and_value() -> None:
    with pytest.raises(ValidationError, match=r"outbound_allow[\s\S]*10\.0\.0\.0/33"):
        Settings(outbound_allow="files.local:9000, 10.0.0.0/33")


def test_the_setting_reaches_the_calls() -> None:
    with serve(body(b"inside")) as inner:
        settings = Settings(outbound_allow=f"files.local:9000, 127.0.0.1:{inner.port}")
        outbound = Outbound.from_settings(settings)

        assert outbound.fetch(f"http://127.0.0.1:{inner.port}/", max_bytes=100) == b"inside"
        with pytest.raises(UrlNotAllowed):
            outbound.fetch(f"http://127.0.0.2:{inner.port}/", max_bytes=100)


def test_an_allowed_network_allows_only_those_addresses_of_a_name(attempts) -> None:
    with serve(body(b"inside")) as inner:
        answers = {"one.example": ["127.0.0.1"], "both.example": ["127.0.0.1", "127.0.0.2"]}
        rules = Rules((f"127.0.0.1:{inner.port}",))
        outbound = Outbound(rules, resolve=lambda host: answers[host])

        assert outbound.fetch(f"http://one.example:{inner.port}/", max_bytes=100) == b"inside"
        with pytest.raises(UrlNotAllowed):
            outbound.fetch(f"http://both.example:{inner.port}/", max_bytes=100)
        assert len(attempts) == inner.connections == 1
