"""Row 23 of the abuse matrix: each redirect is a new URL, checked like the first."""

import time

import pytest

from captioner.errors import UrlFetchFailed, UrlNotAllowed, UrlUnreachable
from captioner.outbound.client import Outbound
from captioner.outbound.rules import Rules
from tests.unit.outbound.servers import body, redirect, says, serve, status


def public(server, **more) -> Outbound:
    """Calls for which this server counts as one of the public internet, and no other does."""
    rules = Rules((f"pictures.example:{server.port}",))
    return Outbound(rules, timeout_s=3, resolve=lambda host: ["127.0.0.1"], **more)


@pytest.mark.parametrize("line", [b"301 M", b"302 F", b"303 S", b"307 T", b"308 P"])
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_up_to_three_redirects_are_followed(hops, line) -> None:
    answers = [redirect(f"/step?n={n}", line) for n in range(hops)] + [body(b"picture")]
    with serve(lambda connection: answers.pop(0)(connection)) as server:
        data = public(server).fetch(f"http://pictures.example:{server.port}/", max_bytes=100)

    assert data == b"picture"
    assert [head.split()[1] for head in server.requests[1:]] == [
        f"/step?n={n}".encode() for n in range(hops)
    ]


@pytest.mark.parametrize("allowed", [0, 3, 5])
def test_a_chain_of_twenty_is_left_after_the_bound(allowed) -> None:
    with serve(redirect("/again")) as server:
        outbound = public(server, max_redirects=allowed)
        with pytest.raises(UrlFetchFailed, match=f"more than {allowed}"):
            outbound.fetch(f"http://pictures.example:{server.port}/", max_bytes=100)

    assert server.connections == allowed + 1


@pytest.mark.parametrize("status_line", [b"301 M", b"302 F", b"303 S", b"307 T", b"308 P"])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://inner.example:{port}/",
        "http://2130706433:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f.1:{port}/",
        "http://pictures.example@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}\\@pictures.example/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://metadata.google.internal/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://pictures.example:99999/",
        "http://[",
    ],
)
def test_a_redirect_from_outside_to_inside_is_refused(location, status_line, attempts) -> None:
    with serve(body(b"inside")) as canary:
        answer = redirect(location.format(port=canary.port), status_line)
        with serve(answer) as server:
            rules = Rules((f"pictures.example:{server.port}", f"unrelated.example:{canary.port}"))
            outbound = Outbound(rules, timeout_s=3, resolve=lambda host: ["127.0.0.1"])
            with pytest.raises(UrlNotAllowed):
                outbound.fetch(f"http://pictures.example:{server.port}/", max_bytes=100)

    assert attempts == [("127.0.0.1", server.port)]
    assert canary.connections == 0


@pytest.mark.parametrize("answer", [status(b"302 Found"), redirect("")])
def test_a_redirect_to_nowhere_is_a_failed_fetch(answer) -> None:
    with serve(answer) as server, pytest.raises(UrlFetchFailed):
        public(server).fetch(f"http://pictures.example:{server.port}/", max_bytes=100)


def test_a_location_that_is_no_text_is_refused() -> None:
    answer = says(b"HTTP/1.1 302 F\r\nLocation: http://\xff\xfe\r\n\r\n")
    with serve(answer) as server, pytest.raises(UrlNotAllowed):
        public(server).fetch(f"http://pictures.example:{server.port}/", max_bytes=100)


def test_the_bound_of_time_holds_for_all_redirects_together() -> None:
    def slowly(connection) -> None:
        time.sleep(0.3)
        redirect("/again")(connection)

    with serve(slowly) as server:
        rules = Rules((f"pictures.example:{server.port}",))
        outbound = Outbound(
            rules, timeout_s=1, max_redirects=10, resolve=lambda host: ["127.0.0.1"]
        )
        began = time.monotonic()
        with pytest.raises(UrlUnreachable):
            outbound.fetch(f"http://pictures.example:{server.port}/", max_bytes=100)
        assert 0.9 < time.monotonic() - began < 1.3
