"""A flag is true or false only where the model said so in strict JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.flagging import flagged

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"flagged": true}', True),
        ('{"flagged": false}', False),
        ('{"flagged": "false"}', False),
        ('{"flagged": "true"}', True),
        (' \n{"flagged":true}\n', True),
        ('```json\n{"flagged": false}\n```', False),
        ('```\n{"flagged": true}\n```', True),
        ('{"flagged": null}', None),
        ('{"flagged": 1}', None),
        ('{"flagged": 0}', None),
        ('{"flagged": "no"}', None),
        ('{"flagged": "True"}', None),
        ('{"flagged": [true]}', None),
        ('{"flagged": true, "flagged": false}', None),
        ('{"flagged": true, "why": "a person"}', None),
        ('{"Flagged": true}', None),
        ("true", None),
        ("false", None),
        ("Yes.", None),
        ('Sure! {"flagged": true}', None),
        ('[{"flagged": true}]', None),
        ("{'flagged': true}", None),
        ("[" * 100_000, None),
        ("", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_answer_is_read_strictly(answer: str, expected: bool | None) -> None:
    assert flagged(answer) is expected


@given(VALUES)
def test_nothing_else_is_ever_true_or_false(value: object) -> None:
    expected = value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value))
    if not isinstance(value, bool | str):
        expected = None
    assert flagged(json.dumps({"flagged": value})) is expected
    if not isinstance(value, dict) or "flagged" not in value:
        assert flagged(json.dumps(value)) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert flagged(text) in (True, False, None)
