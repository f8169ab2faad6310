"""`captioner up` before anything runs: what it would start, and what it refuses."""

import os
import shlex
import shutil
import stat
import tempfile
from pathlib import Path

import click
import httpx
import pytest
from supervisor.options import ServerOptions

from api.serving import GRACE_S, Server, address, gunicorn_options
from captioner.settings import Settings, load
from cli import data_folder, parts, valkey
from cli.environment import configure
from cli.flower import flower_arguments
from cli.programs import Program, configuration
from cli.readiness import what_is_missing
from cli.worker import worker_arguments


def some_programs() -> list[Program]:
    return parts.programs(valkey_conf=Path("/data/run/valkey.conf"), workers=2, flower_port=5555)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CAPTIONER_"):
            monkeypatch.delenv(name)
    for name in ("CAPTIONER_PORT", "CAPTIONER_MODEL", "CAPTIONER_HOST"):
        monkeypatch.setenv(name, "")  # so that what `configure` sets is undone afterwards
        monkeypatch.delenv(name)
    load.cache_clear()


# -- what supervisord is told


def read_by_supervisord(programs: list[Program], folder: Path) -> ServerOptions:
    (folder / "logs").mkdir()
    conf = folder / "supervisord.conf"
    conf.write_text(configuration(programs, socket=folder / "supervisor.sock"))
    options = ServerOptions()
    options.realize(["-n", "-c", str(conf)])
    return options


def test_supervisord_reads_what_we_write(tmp_path: Path) -> None:
    options = read_by_supervisord(some_programs(), tmp_path)

    groups = sorted(options.process_group_configs, key=lambda group: group.priority)

    assert [group.name for group in groups] == ["valkey", "worker-1", "worker-2", "flower", "api"]
    api = groups[-1].process_configs[0]
    assert Path(api.stdout_logfile) == tmp_path / "logs" / "api.log"
    assert api.autorestart is not False
    assert api.stopwaitsecs > GRACE_S
    assert api.killasgroup
    assert not api.stopasgroup  # gunicorn's master and the worker tell their children themselves
    assert "CUDA_VISIBLE_DEVICES" not in groups[1].process_configs[0].environment


def test_a_worker_for_each_gpu_sees_no_other(tmp_path: Path) -> None:
    programs = parts.programs(
        valkey_conf=None, workers=1, flower_port=None, gpus=["1", "GPU-5f2-a7", "MIG-7a/1/0"]
    )
    options = read_by_supervisord(programs, tmp_path)

    configs = {g.name: g.process_configs[0].environment for g in options.process_group_configs}

    pinned = {name: config.get("CUDA_VISIBLE_DEVICES") for name, config in configs.items()}
    assert pinned == {
        "worker-1": "1", "worker-2": "GPU-5f2-a7", "worker-3": "MIG-7a/1/0", "api": None,
    }  # fmt: skip


def test_valkey_starts_first_and_stops_last() -> None:
    programs = some_programs()
    lowest = min(programs, key=lambda program: program.priority)
    assert lowest.name == "valkey"
    assert sum(program.priority == lowest.priority for program in programs) == 1


def test_a_percent_sign_in_a_command_survives(tmp_path: Path) -> None:
    command = ("/opt/100% mine/python", "-c", "print('a b')")
    program = Program(name="odd", command=command, priority=1, start_s=1, stop_s=1)

    options = read_by_supervisord([program], tmp_path)

    assert tuple(shlex.split(options.process_group_configs[0].process_configs[0].command)) == (
        command
    )


def test_without_a_valkey_of_our_own_and_flower_there_are_two_kinds_of_parts() -> None:
    programs = parts.programs(valkey_conf=None, workers=1, flower_port=None)
    assert [program.name for program in programs] == ["worker-1", "api"]


def test_no_command_shows_a_password_or_an_address_of_a_store() -> None:
    text = configuration(some_programs(), socket=Path("/data/run/supervisor.sock"))
    assert "password" not in text
    assert "basic_auth" not in text
    assert "://" not in text


# -- the folder


def test_sockets_lie_in_the_data_folder() -> None:
    with tempfile.TemporaryDirectory(prefix="d-") as short:  # a path of a test's may be too long
        folder = data_folder.prepare(Path(short) / "d")
        assert folder.control == Path(short) / "d" / "run"
        assert stat.S_IMODE(folder.run.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["x" * 120, "with a blank", "50%", "a ;b", "ümlaut"])
def test_sockets_of_an_awkward_folder_lie_in_a_private_short_one(tmp_path: Path, name: str) -> None:
    folder = data_folder.prepare(tmp_path / name)
    try:
        assert len(os.fsencode(folder.control / data_folder.LONGEST_SOCKET)) <= 100
        assert stat.S_IMODE(folder.control.stat().st_mode) == 0o700
        assert data_folder.prepare(tmp_path / name) == folder  # found again, not made again
    finally:
        folder.tidy()
    assert not folder.control.exists()


def test_a_sockets_folder_that_others_can_enter_is_not_used_again(tmp_path: Path) -> None:
    first = data_folder.prepare(tmp_path / ("x" * 120))
    first.control.chmod(0o777)
    second = data_folder.prepare(tmp_path / ("x" * 120))
    try:
        assert second.control != first.control
    finally:
        shutil.rmtree(first.control)
        second.tidy()


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    folder = data_folder.prepare(tmp_path)
    with folder.lock(), pytest.raises(click.ClickException, match=f"process {os.getpid()}"):
        folder.lock()
    folder.lock().close()  # free again


def test_a_folder_that_is_still_draining_says_so(tmp_path: Path) -> None:
    folder = data_folder.prepare(tmp_path)
    with folder.lock() as held:
        held.truncate(0)
        held.write("4194305\n")  # above Linux's highest process id: the one that was killed
        held.flush()
        with pytest.raises(click.ClickException, match="still finishing its work"):
            folder.lock()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(click.ClickException, match="cannot be used"):
        data_folder.prepare(tmp_path / "file" / "d")


def test_the_flower_password_is_kept_and_private(tmp_path: Path) -> None:
    file = tmp_path / "flower-password"
    assert data_folder.password(file) == data_folder.password(file)
    assert len(data_folder.password(file)) >= 20
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_valkey_listens_on_its_socket_only_and_keeps_every_write(tmp_path: Path) -> None:
    folder = data_folder.prepare(tmp_path)
    lines = valkey.write_conf(folder).read_text().splitlines()
    assert "port 0" in lines
    assert f'unixsocket "{folder.valkey_socket}"' in lines
    assert "unixsocketperm 700" in lines
    assert "appendonly yes" in lines
    assert "maxmemory-policy noeviction" in lines


# -- options and settings


@pytest.mark.usefixtures("clean_environment")
def test_options_reach_the_parts_through_the_environment() -> None:
    settings = configure(port=8765, model="scenes", host=None)
    assert (settings.port, settings.model) == (8765, "scenes")
    assert os.environ["CAPTIONER_PORT"] == "8765"
    assert "CAPTIONER_HOST" not in os.environ


def test_the_worker_listens_to_one_queue_for_each_model() -> None:
    settings = Settings(model="blip", models=("blip", "scenes"), max_batch=4)
    arguments = worker_arguments(settings)
    assert "--queues=caption.blip,caption.scenes,captioner.webhooks,captioner.styles" in arguments
    assert "--concurrency=8" in arguments
    assert "--pool=threads" in arguments


def test_flower_asks_for_a_password_and_changes_nothing(tmp_path: Path) -> None:
    arguments = flower_arguments(Settings(data_dir=tmp_path), host="127.0.0.1", port=5555)
    secret = data_folder.password(tmp_path / "run" / "flower-password")
    assert f"--basic_auth=captioner:{secret}" in arguments
    assert "--read_only=True" in arguments
    assert "--conf=/dev/null" in arguments


def test_gunicorn_knows_every_option(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=8765, api_processes=3)
    config = Server(settings).cfg
    assert config.address == [("127.0.0.1", 8765)]
    assert (config.workers, config.threads) == (3, settings.api_threads)
    assert config.control_socket_disable
    assert set(gunicorn_options(settings)) <= set(config.settings)


def test_an_ipv6_address_is_written_in_brackets() -> None:
    assert address("::1", 8000) == "[::1]:8000"
    assert address("127.0.0.1", 8000) == "127.0.0.1:8000"


# -- what is told


@pytest.mark.parametrize(
    ("status", "body", "missing"),
    [
        (200, {"ready": True, "reasons": {}}, None),
        (
            503,
            {"reasons": {"worker": "No worker serves 'a'. Start one: captioner worker."}},
            "No worker serves 'a' yet",
        ),
        (503, {"reasons": {"database": "Away.", "broker": "Gone."}}, "Away; Gone"),
        (500, ["?"], "the API answers 500"),
    ],
)
def test_what_is_waited_for_is_said_in_words(
    status: int, body: object, missing: str | None
) -> None:
    api = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    with httpx.Client(transport=api) as client:
        assert what_is_missing(client, "http://api") == missing
