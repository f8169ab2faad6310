"""What is shipped for containers: safe by default, and in step with the code."""

import os
import re
from pathlib import Path

import pytest
import yaml
from celery.utils.nodenames import host_format
from uuid_utils.compat import uuid7

from captioner.clock import now_plus
from captioner.database import Database
from captioner.operator_settings import Access
from captioner.settings import Settings
from cli.main import COMMANDS
from cli.worker import worker_arguments
from deploy.worker_health import is_alive
from models import Base, Worker

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(COMPOSE)["services"]
DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")
OURS = ("api", "migrate", "metrics-key", "worker-cpu", "worker-gpu", "flower")
WORKERS = ("worker-cpu", "worker-gpu")
FIXED = {
    "data_dir", "database_url", "redis_url", "blob_url", "host", "port",
    "worker_metrics_host", "worker_metrics_port",
    "debug",  # for loopback alone
}  # fmt: skip
"""Settings that the images or the compose file have made up their mind about."""
OF_THE_DOOR = (set(Access.model_fields) - {"auth"}) | {
    "api_processes", "api_threads", "max_waiters", "max_wait_s", "trusted_proxies", "wait_s",
}  # fmt: skip
"""Settings that the API alone reads."""
DEFAULTS = {
    name: field.get_default(call_default_factory=True)
    for name, field in Settings.model_fields.items()
}
OF_WORKERS = {
    "decode_memory_bytes", "decode_processes", "decode_timeout_s", "device", "drain_s", "dtype",
    "engine", "fast_decode", "fetch_concurrency", "model_capacity", "model_revision",
    "model_turn_s", "style_concurrency", "vllm_key", "webhook_concurrency", "worker_concurrency",
}  # fmt: skip


def settings_of(service: str) -> set[str]:
    return {name for name in SERVICES[service]["environment"] if name.startswith("CAPTIONER_")}


@pytest.mark.parametrize("service", OURS)
def test_compose_sets_only_settings_that_exist(service: str) -> None:
    known = {f"CAPTIONER_{name.upper()}" for name in Settings.model_fields}

    assert settings_of(service) <= known


def inside(service: str, outside: dict[str, str]) -> dict[str, str]:
    """The environment of a container, as Compose makes it of that of `.env`."""

    def put_in(found: re.Match[str]) -> str:
        return outside.get(found[1], found[2] or "")

    told: dict[str, str] = {}
    for name, value in SERVICES[service]["environment"].items():
        if value is not None:
            told[name] = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", put_in, value)
        elif name in outside:
            told[name] = outside[name]
    return told


@pytest.mark.parametrize("service", ["api", *WORKERS])
def test_what_env_says_of_a_setting_reaches_the_parts_that_read_it(service: str) -> None:
    others = OF_WORKERS if service == "api" else OF_THE_DOOR
    wanted = set(Settings.model_fields) - FIXED - others
    said = {f"CAPTIONER_{name.upper()}": f"the {name}" for name in Settings.model_fields}

    told = inside(service, said)

    assert {name for name, value in told.items() if value == said.get(name)} == {
        f"CAPTIONER_{name.upper()}" for name in wanted
    }


def test_what_env_does_not_say_has_its_default_but_keys_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for service in ("api", *WORKERS):
        told = inside(service, {"POSTGRES_PASSWORD": "a", "REDIS_PASSWORD": "b"})
        for name in [name for name in os.environ if name.startswith("CAPTIONER_")]:
            monkeypatch.delenv(name)
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        changed = {name for name, value in Settings() if value != DEFAULTS[name]}

        assert changed <= FIXED | {"auth"}
        assert Settings().auth == "required"


def test_the_endpoint_of_traces_reaches_the_parts_by_both_of_its_names() -> None:
    for service in ("api", *WORKERS):
        for name in ("CAPTIONER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            assert inside(service, {name: "http://collector:4318"})[name]
        assert "OTEL_TRACES_SAMPLER" in inside(service, {"OTEL_TRACES_SAMPLER": "always_off"})


@pytest.mark.parametrize("name", DOCKERFILES)
def test_every_image_can_tell_traces_and_keep_pictures_on_s3(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    extras = re.findall(r'pip install [^"\n]*"\.\[([\w,]+)\]"', text)

    assert len(extras) == (1 if name == "Dockerfile.api" else 2)
    assert all({"otel", "s3"} <= set(each.split(",")) for each in extras)


def test_ports_are_open_to_this_host_alone_unless_asked() -> None:
    ports = {name: port for name, it in SERVICES.items() for port in it.get("ports", [])}

    assert set(ports) == {"api", "flower", "prometheus", "grafana"}
    assert all(ports[name].startswith("127.0.0.1:") for name in set(ports) - {"api"})
    assert ports["api"].startswith("${CAPTIONER_BIND:-127.0.0.1}:")


def test_no_password_has_a_default() -> None:
    uses = re.findall(r"\$\{(\w*PASSWORD)(\S{2})", COMPOSE)

    assert {name for name, _ in uses} == {
        "POSTGRES_PASSWORD",
        "REDIS_PASSWORD",
        "FLOWER_PASSWORD",
        "GRAFANA_PASSWORD",
    }
    assert {operator for _, operator in uses} == {":?"}


def test_the_example_environment_has_every_variable_of_the_compose_file() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    for name in set(re.findall(r"\$\{(\w+)", COMPOSE)):
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name


def test_whatever_the_example_environment_shows_is_of_use() -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    passed_on = {
        name for service in OURS for name, value in SERVICES[service]["environment"].items()
        if value is None
    }  # fmt: skip

    for name in re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE):
        assert name in passed_on or f"${{{name}" in COMPOSE, name


def test_the_gpu_worker_is_pinned_to_one_device() -> None:
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]

    assert len(devices) == 1
    assert len(devices[0]["device_ids"]) == 1
    assert "count" not in devices[0]


def test_parts_of_ours_are_read_only_and_without_capabilities() -> None:
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_images_run_known_commands_as_an_ordinary_user_and_are_checked(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    commands = re.findall(r'^CMD \["captioner", "(\w+)"', text, re.MULTILINE)

    assert commands
    assert set(commands) <= set(COMMANDS)
    for image in re.findall(r"^FROM .*(?:\n(?!FROM ).*)*\nCMD .*", text, re.MULTILINE):
        assert "\nUSER 10001:10001\n" in image
        assert "\nHEALTHCHECK " in image


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_a_dockerfile_copies_is_let_through_by_dockerignore(name: str) -> None:
    kept = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / name).read_text(), re.MULTILINE)

    for source in (source for line in copies for source in line.split()):
        assert source.split("/")[0] in kept
        assert (ROOT / source).exists()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path, heartbeat_s=5)
    Base.metadata.create_all(Database(made.database).engine)
    return made


def name_on(host: str) -> str:
    """What Celery makes of the name that `captioner worker` asks for."""
    given = worker_arguments(Settings())
    (asked,) = (it.removeprefix("--hostname=") for it in given if it.startswith("--hostname="))
    return str(host_format(asked, host=host))


def heard(settings: Settings, *, name: str, seconds_ago: float) -> None:
    with Database(settings.database).write() as session:
        at = now_plus(-seconds_ago)
        row = Worker(id=uuid7(), name=name, device="cpu", models={})
        row.started_at = row.heartbeat_at = at
        session.add(row)


def test_a_worker_is_healthy_while_its_signs_of_life_are_fresh(settings: Settings) -> None:
    heard(settings, name=name_on("here"), seconds_ago=4)

    assert is_alive(settings, "here")


def test_a_worker_that_went_silent_is_not_healthy(settings: Settings) -> None:
    heard(settings, name=name_on("here"), seconds_ago=60)

    assert not is_alive(settings, "here")


def test_another_hosts_worker_does_not_make_this_one_healthy(settings: Settings) -> None:
    heard(settings, name=name_on("here-too"), seconds_ago=1)

    assert not is_alive(settings, "here")
