"""What others ask for in `Retry-After`, however they write it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.retry_after import LONGEST_S, seconds

NO_SUCH_YEAR = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "asked_s"),
    [
        ("120", 120),
        (" 2.5 ", 2.5),
        ("9" * 500, LONGEST_S),
        *((text, 0) for text in ("", "-5", "soon", "²", "1e9", "nan", NO_SUCH_YEAR)),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 0),
    ],
)
def test_a_number_of_seconds_or_a_date_and_nothing_else(header: str, asked_s: float) -> None:
    assert seconds(header) == asked_s


@pytest.mark.parametrize("in_gmt", [True, False])
def test_a_date_is_counted_from_now(in_gmt: bool) -> None:
    then = datetime.now(UTC) + timedelta(seconds=100)
    header = format_datetime(then, usegmt=True) if in_gmt else f"{then:%a, %d %b %Y %H:%M:%S}"
    assert 95 < seconds(header) <= 100


@given(
    st.text(max_size=60)
    | st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,30} [0-9:]{1,9} [A-Z+-]{0,5}[0-9]{0,9}"
    )
)
def test_whatever_is_sent_is_at_most_no_wish(header: str) -> None:
    assert 0 <= seconds(header) < float("inf")
