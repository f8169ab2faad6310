"""What is said of a setting that is refused: its name, what is wrong, and never a secret."""

import re

import pytest
from pydantic import ValidationError

from captioner.setting_names import variables
from captioner.settings import Settings
from cli.trouble import explain

FIELDS = Settings.model_fields
HELD = "hunter2 \x7f"
"""What no setting takes, and nobody may see."""


def refusal(**given: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    said = explain(refused.value)
    assert said is not None
    return said


def refused_of_environment(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> str:
    monkeypatch.setenv(variable, value)
    return refusal()


def made_to_refuse(place: str) -> ValidationError:
    """What pydantic says where the setting at this place has a value that its type refuses."""
    return ValidationError.from_exception_data(
        "Settings", [{"type": "string_type", "loc": (place,), "input": HELD}]
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_is_shown_unless_it_is_or_may_hold_a_secret(name: str) -> None:
    variable = variables(name, FIELDS[name])[0]
    may_hold = "SecretStr" in str(FIELDS[name].annotation) or re.search(
        "(_url|_endpoint|_sources|_key|_secrets)$", name
    )
    for place in (name, variable, variable.lower()):
        said = explain(made_to_refuse(place))
        assert said is not None
        assert said.startswith(f"{variable}=")
        assert ("hunter2" in said) is not bool(may_hold)
        assert ("=…: " in said) is bool(may_hold)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CAPTIONER_API_KEY", "hunter2"),
        ("CAPTIONER_OPENAI_KEY", "hunter2 "),
        ("CAPTIONER_VLLM_KEY", "hunter2 "),
        ("CAPTIONER_GEMINI_API_KEY", "hunter2 "),
        ("GOOGLE_API_KEY", "hunter2 "),
        ("GEMINI_API_KEY", "hunter2 "),
        ("captioner_gemini_api_key", "hunter2 "),
        ("CAPTIONER_WEBHOOK_SECRETS", "hunter2"),
        ("CAPTIONER_MODEL_SOURCES", '{"hunter2": 2}'),
        ("CAPTIONER_MODEL_SOURCES", '{"own": "vllm:http://me:hunter2/3@box:8000"}'),
        ("CAPTIONER_GEMINI_URL", "https://me:hunter2@styles.example"),
        ("CAPTIONER_GEMINI_URL", "https://me:hunter2/3@styles.example"),
        ("CAPTIONER_OPENAI_URL", "https://me:hunter2@styles.example"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "me:hunter2@traces.example"),
    ],
)
def test_a_secret_is_not_shown_and_the_variable_has_its_own_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    said = refused_of_environment(monkeypatch, variable, value)

    assert "hunter2" not in said
    assert said.startswith(f"{variable.upper()}=…: ")


def test_a_place_in_a_list_is_told_by_the_variable_that_has_the_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = refused_of_environment(monkeypatch, "CAPTIONER_WEBHOOK_SCHEDULE_S", "5,-1")

    assert said == "CAPTIONER_WEBHOOK_SCHEDULE_S=-1: Input should be greater than 0"
