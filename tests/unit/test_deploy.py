"""What is shipped for containers: safe by default, and in step with the code."""

import re
from pathlib import Path

import pytest
import yaml
from celery.utils.nodenames import host_format
from uuid_utils.compat import uuid7

from captioner.clock import now_plus
from captioner.database import Database
from captioner.settings import Settings
from cli.main import COMMANDS
from cli.worker import worker_arguments
from deploy.worker_health import is_alive
from models import Base, Worker

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(COMPOSE)["services"]
DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")


def settings_of(service: str) -> set[str]:
    return {name for name in SERVICES[service]["environment"] if name.startswith("CAPTIONER_")}


@pytest.mark.parametrize("service", ["api", "migrate", "worker-cpu", "worker-gpu", "flower"])
def test_compose_sets_only_settings_that_exist(service: str) -> None:
    known = {f"CAPTIONER_{name.upper()}" for name in Settings.model_fields}

    assert settings_of(service) <= known


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


def test_the_gpu_worker_is_pinned_to_one_device() -> None:
    devices = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]

    assert len(devices) == 1
    assert len(devices[0]["device_ids"]) == 1
    assert "count" not in devices[0]


def test_parts_of_ours_are_read_only_and_without_capabilities() -> None:
    for name in ("api", "migrate", "worker-cpu", "worker-gpu", "flower"):
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
