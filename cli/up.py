"""`captioner up`: the whole service on this machine, in the foreground, in one folder."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import click

from captioner.settings import Settings
from cli import data_folder, gpus, interrupts, parts, preflight, session, valkey
from cli.data_folder import DataFolder
from cli.environment import configure


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address of the API.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="PORT", help="Port of the API.  [default: 8000]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the database, the pictures and the logs.  [default: captioner-data]",
)
@click.option(
    "--model", metavar="NAME", help="Model used when a request names none.  [default: blip]"
)
@click.option("--models", metavar="A,B", help="Models served.  [default: that one and scenes]")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Worker processes; each loads every model.",
)
@click.option("--per-gpu", is_flag=True, help="One worker for each GPU, instead of --workers.")
@click.option("--flower", is_flag=True, help="Also run Flower, a page that shows Celery at work.")
@click.option(
    "--flower-port", type=click.IntRange(1, 65_535), default=5555, show_default=True, metavar="PORT"
)
def up(
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    model: str | None,
    models: str | None,
    workers: int,
    per_gpu: bool,
    flower: bool,
    flower_port: int,
) -> None:
    """Start everything on this machine and stay in the foreground.

    That is: a Valkey server (queue and wake-ups), the API, the workers and, with --flower, Flower.
    A part that dies is started again. Everything is kept in one folder, so a later start goes on
    where this one ended. Ctrl-C drains: no new requests, running work ends. Ctrl-C again stops at
    once; nothing accepted is lost then either.

    CAPTIONER_DATABASE_URL, CAPTIONER_REDIS_URL, CAPTIONER_BROKER_URL and CAPTIONER_BLOB_URL are
    used where they are set. With CAPTIONER_REDIS_URL set, no Valkey is started.
    """
    settings = configure(host=host, port=port, data_dir=data_dir, model=model, models=models)
    settings = configure(data_dir=settings.data_dir.absolute(), log_format=_log_format(settings))
    interrupts.install(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    _check(settings, flower=flower)
    pinned = gpus.chosen(None, settings) if per_gpu else []
    folder = data_folder.prepare(settings.data_dir)
    page = flower_port if flower else None
    with folder.lock() as lock:
        try:
            _check_ports(settings, flower_port=page)
            exit_code = _run(
                settings, folder, lock, workers=workers, pinned=pinned, flower_port=page
            )
        finally:
            folder.tidy()
    raise click.exceptions.Exit(exit_code)


def _run(
    settings: Settings,
    folder: DataFolder,
    lock: TextIO,
    *,
    workers: int,
    pinned: list[str],
    flower_port: int | None,
) -> int:
    valkey_conf = _own_valkey(settings, folder)
    _upgrade_database()
    preflight.refuse_open_door(settings)
    programs = parts.programs(
        valkey_conf=valkey_conf,
        workers=workers,
        flower_port=flower_port,
        drain_s=settings.drain_s,
        gpus=pinned,
    )
    return session.run(session.Place(settings, folder, flower_port), programs, lock)


def _check(settings: Settings, *, flower: bool) -> None:
    preflight.refuse_missing_packages(valkey=valkey.is_wanted(settings), flower=flower)
    preflight.refuse_unknown_models(settings)
    preflight.refuse_unserved_default(settings)
    preflight.refuse_unusable_device(settings)
    if settings.auth == "off" and not preflight.is_loopback(settings.host):
        click.echo(
            f"Warning: {settings.host} can be reached from other machines, and CAPTIONER_AUTH is "
            "off: whoever reaches it can use it and read every caption.",
            err=True,
        )


def _check_ports(settings: Settings, *, flower_port: int | None) -> None:
    """With the folder locked: a port may be that of a captioner which has it."""
    preflight.refuse_taken_port(settings.host, settings.port, option="--port")
    if flower_port is not None:
        preflight.refuse_taken_port("127.0.0.1", flower_port, option="--flower-port")


def _log_format(settings: Settings) -> str | None:
    """The parts write to files; who reads them is who sits at this terminal, if one does."""
    return "text" if settings.log_format == "auto" and sys.stderr.isatty() else None


def _own_valkey(settings: Settings, folder: DataFolder) -> Path | None:
    """Tell the parts to use a Valkey server of our own, unless they are told of another."""
    if not valkey.is_wanted(settings):
        return None
    valkey.end_orphaned(folder)
    valkey.use(folder, settings)
    return valkey.write_conf(folder)


def _upgrade_database() -> None:
    done = subprocess.run(
        parts.captioner_command("db", "upgrade"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(
            f"The database could not be brought up to date.\n{(done.stderr or done.stdout).strip()}"
        )
