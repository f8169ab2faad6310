"""Row 23: names that change their address, and look-ups that hang. The DNS server is real."""

import itertools
import socket
import threading
import time
from contextlib import ExitStack

import pytest
from dnslib import AAAA, QTYPE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from captioner.errors import UrlFetchFailed, UrlNotAllowed, UrlUnreachable
from captioner.outbound.client import Outbound
from captioner.outbound.deadline import Deadline
from captioner.outbound.names import Names, system_resolve
from captioner.outbound.rules import Rules
from tests.unit.outbound.servers import body, redirect, serve

KINDS = {"A": A, "AAAA": AAAA}


class Zone(BaseResolver):
    """Answers each question with the next of its answers, for 0 seconds."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = itertools.cycle(answers)
        self.questions = 0

    def resolve(self, request, handler):
        self.questions += 1
        reply = request.reply()
        for address in next(self._answers):
            kind = "AAAA" if ":" in address else "A"
            record = RR(request.q.qname, getattr(QTYPE, kind), rdata=KINDS[kind](address), ttl=0)
            reply.add_answer(record)
        return reply


@pytest.fixture
def dns():
    """Starts DNS servers; gives the function that asks one, as `Outbound` takes it."""
    started = []

    def start(zone: Zone):
        server = DNSServer(zone, address="127.0.0.1", port=0, logger=DNSLogger("-request,-reply"))
        server.start_thread()
        started.append(server)
        port = server.server.server_address[1]

        def resolve(host: str) -> list[str]:
            question = DNSRecord.question(host)
            reply = DNSRecord.parse(question.send("127.0.0.1", port, timeout=2))
            return [str(record.rdata) for record in reply.rr]

        return resolve

    yield start
    for server in started:
        server.stop()
        server.server.server_close()


@pytest.fixture
def two_servers():
    """One that counts as public and one inside, on the same port of two addresses."""
    with ExitStack() as stack:
        while True:
            outside = stack.enter_context(serve(body(b"outside"), host="127.0.0.5"))
            try:
                inside = stack.enter_context(serve(body(b"inside"), port=outside.port))
            except OSError:  # somebody else has it there
                continue
            yield outside, inside
            return


@pytest.mark.parametrize("first", ["127.0.0.5", "127.0.0.1"])
def test_a_name_that_changes_its_address_never_leads_inside(first, dns, two_servers) -> None:
    outside, inside = two_servers
    other = {"127.0.0.5": "127.0.0.1", "127.0.0.1": "127.0.0.5"}[first]
    zone = Zone((first,), (other,))
    rules = Rules((f"127.0.0.5:{outside.port}",))
    outbound = Outbound(rules, timeout_s=5, resolve=dns(zone))
    outcomes = []

    for _ in range(40):
        try:
            url = f"http://rebinding.example:{outside.port}/"
            outcomes.append(outbound.fetch(url, max_bytes=100))
        except UrlNotAllowed:
            outcomes.append(b"refused")

    print(f"rebinding: {len(outcomes)} fetches, {zone.questions} look-ups, inside: 0 connections")
    assert sorted(outcomes) == [b"outside"] * 20 + [b"refused"] * 20
    assert zone.questions == 40, "one look-up a connection"
    assert inside.connections == 0
    assert outside.connections == 20


def test_a_name_that_changes_between_two_redirects_never_leads_inside(dns) -> None:
    with (
        serve(redirect("/again"), host="127.0.0.5") as outside,
        serve(body(b"inside"), host="127.0.0.1", port=outside.port) as inside,
    ):
        zone = Zone(("127.0.0.5",), ("127.0.0.1",))
        outbound = Outbound(Rules((f"127.0.0.5:{outside.port}",)), resolve=dns(zone))
        with pytest.raises(UrlNotAllowed):
            outbound.fetch(f"http://rebinding.example:{outside.port}/", max_bytes=100)

    assert (outside.connections, inside.connections) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        ("127.0.0.5", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.5"),
        ("127.0.0.5", "::1"),
        ("127.0.0.5", "::ffff:7f00:1"),
        ("127.0.0.5", "fd00::1"),
        ("127.0.0.5", "169.254.169.254"),
    ],
)
def test_a_name_with_one_inner_address_among_others_is_refused(
    answer, dns, two_servers, attempts
) -> None:
    outside, inside = two_servers
    outbound = Outbound(Rules((f"127.0.0.5:{outside.port}",)), resolve=dns(Zone(answer)))

    with pytest.raises(UrlNotAllowed):
        outbound.fetch(f"http://both.example:{outside.port}/", max_bytes=100)

    assert (outside.connections, inside.connections) == (0, 0)
    assert attempts == []


def test_the_next_address_is_tried_when_one_does_not_answer(two_servers) -> None:
    outside, _ = two_servers
    rules = Rules((f"127.0.0.0/8:{outside.port}",))
    outbound = Outbound(rules, resolve=lambda host: ["127.0.0.9", "127.0.0.5"])

    assert outbound.fetch(f"http://two.example:{outside.port}/", max_bytes=100) == b"outside"


def test_a_name_without_any_address_is_a_failed_fetch(dns) -> None:
    with pytest.raises(UrlFetchFailed):
        Outbound(Rules(), resolve=dns(Zone(()))).fetch("http://none.example/", max_bytes=100)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), UrlFetchFailed),
        (socket.gaierror(socket.EAI_NODATA, "no address"), UrlFetchFailed),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), UrlUnreachable),
        (socket.gaierror(socket.EAI_FAIL, "server failure"), UrlUnreachable),
        (OSError(24, "too many open files"), UrlUnreachable),
    ],
)
def test_a_look_up_that_fails_says_whether_to_try_again(error, ours) -> None:
    def fail(host: str) -> list[str]:
        raise error

    with pytest.raises(ours):
        Outbound(Rules(), resolve=fail).fetch("http://pictures.example/", max_bytes=100)


def test_a_look_up_that_hangs_does_not_exceed_the_bound() -> None:
    freed = threading.Event()
    outbound = Outbound(Rules(), timeout_s=0.5, resolve=lambda host: [str(freed.wait(30))])
    began = time.monotonic()

    with pytest.raises(UrlUnreachable):
        outbound.fetch("http://hanging.example/", max_bytes=100)
    took = time.monotonic() - began
    freed.set()

    print(f"hanging look-up: bound 0.5 s, took {took:.3f} s")
    assert 0.4 < took < 0.8


def test_look_ups_that_hang_are_bounded_in_number() -> None:
    freed = threading.Event()
    hanging = []

    def hang(host: str) -> list[str]:
        hanging.append(host)
        freed.wait(30)
        return ["8.8.8.8"]

    names = Names(hang, places=3)
    for _ in range(10):
        with pytest.raises(UrlUnreachable):
            names.look_up("hanging.example", deadline=Deadline(0.05))
    assert len(hanging) == 3
    freed.set()

    assert names.look_up("well.example", deadline=Deadline(5)), "their places come back"


def test_the_systems_own_resolver_is_asked_as_it_stands() -> None:
    assert "127.0.0.1" in system_resolve("localhost")
    assert system_resolve("127.0.0.1") == ["127.0.0.1"]
    with pytest.raises(socket.gaierror):
        system_resolve("no-such-name.invalid")
