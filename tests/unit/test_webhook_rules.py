"""Secrets and the schedule: what is allowed, and what stays hidden."""

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from standardwebhooks import Webhook

from captioner.settings import Settings, load
from captioner.webhooks import signing
from captioner.webhooks.schedule import JITTER, MAX_WAIT_S, wait_s
from captioner.webhooks.secret import is_secret, new_secret
from cli.main import main
from cli.trouble import explain
from tests.receivers import receiver

WAITS = Settings(_env_file=None).webhook_schedule_s


def key(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(size)).decode()


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_secret_has_24_to_64_bytes(size: int) -> None:
    assert is_secret(key(size))
    assert is_secret(new_secret())


@pytest.mark.parametrize("text", ["", "whsec_", key(23), key(65), key(24)[6:], key(24) + "!"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    assert not is_secret(text)


def test_a_wrong_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(webhook_secrets=f"{key(24)},whsec_hunter2")
    for said in (str(refused.value), explain(refused.value) or ""):
        assert "number 2" in said
        assert "hunter2" not in said
        assert key(24)[6:] not in said


def test_secrets_do_not_show_in_the_settings() -> None:
    settings = Settings(webhook_secrets=key(24))
    assert key(24)[6:] not in repr(settings) + str(settings.model_dump())
    assert signing.configured(settings) == [key(24)]


def test_the_first_waits_are_those_of_the_specification() -> None:
    hours = [2, 5, 10, 14, 20, 24, 24]
    assert (5, 300, 1800, *(3600 * each for each in hours)) == WAITS


@pytest.mark.parametrize("failures", range(1, 11))
def test_a_wait_is_a_little_longer_by_chance(failures: int) -> None:
    planned = WAITS[failures - 1]
    assert wait_s(failures, WAITS, share=lambda: 0) == planned
    assert wait_s(failures, WAITS, share=lambda: 1) == pytest.approx(planned * (1 + JITTER))
    assert planned <= wait_s(failures, WAITS) <= planned * (1 + JITTER)


def test_after_the_last_wait_there_is_no_attempt() -> None:
    assert wait_s(11, WAITS) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), ("1", 5), ("9" * 500, MAX_WAIT_S), ("-5", 5), ("soon", 5), ("²", 5), ("", 5)],
)
def test_a_receiver_may_ask_for_a_longer_wait_within_bounds(header: str, seconds: float) -> None:
    assert wait_s(1, WAITS, retry_after=header, share=lambda: 0) == seconds


def test_a_receiver_may_name_a_date() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 95 < (wait_s(1, WAITS, retry_after=at) or 0) <= 100


def test_the_command_makes_a_secret_and_tries_a_receiver(monkeypatch) -> None:
    made = CliRunner().invoke(main, ["webhooks", "secret"]).output.strip()
    assert is_secret(made)
    monkeypatch.setenv("CAPTIONER_WEBHOOK_SECRETS", made)
    monkeypatch.setenv("CAPTIONER_OUTBOUND_ALLOW", "127.0.0.1:*")
    load.cache_clear()
    with receiver(200, 500, secrets=[made]) as found:
        good = CliRunner().invoke(main, ["webhooks", "test", found.url])
        bad = CliRunner().invoke(main, ["webhooks", "test", found.url])
    load.cache_clear()
    assert good.exit_code == 0, good.output
    assert bad.exit_code == 1
    assert "500" in bad.output
    assert found.bad == []
    said = Webhook(made).verify(found.received[0].body, found.received[0].headers)
    assert said["type"] == "webhook.test"
    assert said["timestamp"].endswith("Z")


def test_without_a_secret_the_command_says_how_to_make_one(monkeypatch) -> None:
    monkeypatch.delenv("CAPTIONER_WEBHOOK_SECRETS", raising=False)
    load.cache_clear()
    refused = CliRunner().invoke(main, ["webhooks", "test", "https://a.example/"])
    load.cache_clear()
    assert refused.exit_code != 0
    assert "captioner webhooks secret" in refused.output
