"""What is said of a setting that is refused: its name, what is wrong, and never a secret."""

import re
from typing import Literal, get_args, get_origin

import pytest
from pydantic import ValidationError

from captioner.agreement import RULES
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


@pytest.mark.parametrize(
    "name", [name for name, field in FIELDS.items() if get_origin(field.annotation) is Literal]
)
def test_where_words_are_taken_they_are_named(name: str) -> None:
    said = refusal(**{name: "other"})

    assert [word for word in get_args(FIELDS[name].annotation) if f"'{word}'" not in said] == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CAPTIONER_LOG_LEVEL", "debug", "Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("CAPTIONER_AUTH", "maybe", "Input should be 'auto', 'required' or 'off'"),
        ("CAPTIONER_DEVICE", "quantum", "it is not auto, cpu, cuda or cuda:N"),
        ("CAPTIONER_DEVICE", "cuda:first", "it is not auto, cpu, cuda or cuda:N"),
    ],
)
def test_what_is_taken_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    assert refused_of_environment(monkeypatch, variable, value) == f"{variable}={value}: {said}"


def test_no_setting_is_held_against_a_pattern_that_an_operator_would_have_to_read() -> None:
    rules = [rule for field in FIELDS.values() for rule in field.metadata]

    assert [rule for rule in rules if getattr(rule, "pattern", None)] == []


DATABASES = "it must begin with sqlite:// or postgresql+psycopg://"
STORES = "it must begin with redis://, rediss:// or unix://"
BROKERS = "it must begin with redis://, rediss://, unix://, redis+socket://, amqp:// or amqps://"


@pytest.mark.parametrize(
    ("name", "url", "said"),
    [
        ("database_url", "mysql://me:hunter2@db/x", DATABASES),
        ("database_url", "postgresql://me:hunter2@db/x", DATABASES),
        ("database_url", "captions.db", DATABASES),
        ("database_url", "postgresql+psycopg://me:hunter2@db:x/y", "its host or port makes no"),
        ("database_url", "postgresql+psycopg://me:hun/ter2@db/y", "percent-encoded"),
        ("redis_url", "http://me:hunter2@h/x", STORES),
        ("redis_url", "", STORES),
        ("redis_url", "redis://me:hunter2@[h/0", "its host or port makes no sense"),
        ("broker_url", "sqs://me:hunter2@h", BROKERS),
        ("otlp_endpoint", "traces.example:4318", "it must begin with http:// or https://"),
    ],
)
def test_an_address_of_another_kind_is_refused_with_those_that_are_taken(
    name: str, url: str, said: str
) -> None:
    line = refusal(**{name: url})

    assert line.startswith(f"CAPTIONER_{name.upper()}=…: ")
    assert said in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database_url", "sqlite:////srv/captioner.db"),
        ("database_url", "postgresql+psycopg://me:p%40ss@[::1]:5432/captions"),
        ("redis_url", "unix:///run/valkey.sock?db=0"),
        ("redis_url", "rediss://:secret@redis.example:6379/0"),
        ("broker_url", "amqps://me:secret@rabbit.example:5671//"),
        ("broker_url", "redis+socket:///run/valkey.sock?virtual_host=0"),
        ("broker_url", ""),
    ],
)
def test_an_address_that_is_documented_is_taken(name: str, url: str) -> None:
    assert getattr(Settings(**{name: url}), name) == url


BROKEN: list[tuple[dict[str, object], str]] = [
    ({"max_waiters": 512}, "CAPTIONER_MAX_WAITERS=512 must be below CAPTIONER_API_THREADS=512"),
    ({"worker_concurrency": 3}, "CAPTIONER_WORKER_CONCURRENCY=3 must be at least twice "),
    (
        {"heartbeat_s": 30},
        "CAPTIONER_LEASE_S=60 must be at least three times CAPTIONER_HEARTBEAT_S=30: else",
    ),
    ({"max_bodies_bytes": 1024}, "CAPTIONER_MAX_BODIES_BYTES=1024 must be at least as much as "),
    (
        {"hang_s": 9, "model_sources": {"own": "vllm:http://box:8000"}},
        "CAPTIONER_VLLM_TIMEOUT_S=120 must be below CAPTIONER_HANG_S=9: else",
    ),
    ({"thumbnail_small": 256}, "CAPTIONER_THUMBNAIL_SMALL=256 must not be above "),
    ({"wait_s": 300.5}, "CAPTIONER_WAIT_S=300.5 must not be above CAPTIONER_MAX_WAIT_S=300"),
    ({"max_queued": 10}, "CAPTIONER_MAX_IMAGES=1000, CAPTIONER_MAX_QUEUED_PER_CALLER=50000 and"),
]


@pytest.mark.parametrize(("given", "said"), BROKEN, ids=lambda each: str(each)[:24])
def test_settings_that_contradict_each_other_are_told_by_their_variables(
    given: dict[str, object], said: str
) -> None:
    assert refusal(**given).startswith(said)


def test_of_every_rule_there_is_a_case() -> None:
    broken = [Settings.model_construct(**given) for given, _ in BROKEN]

    assert [sum(not rule.holds(settings) for settings in broken) for rule in RULES] == [
        1 for _ in BROKEN
    ]
