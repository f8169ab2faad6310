"""The Valkey server of a data folder: what `captioner up` tells it, and how others find it."""

import time
from contextlib import suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from captioner.settings import Settings
from cli import data_folder
from cli.data_folder import DataFolder
from cli.environment import configure

CONF = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""
ORPHAN_TIMEOUT_S = 10


def is_wanted(settings: Settings) -> bool:
    """Whether nobody has named another server."""
    return "redis_url" not in settings.model_fields_set


def use(folder: DataFolder, settings: Settings) -> Settings:
    """The settings, here and of all children, with the folder's server for all that is not set."""
    redis_url, broker_url = _urls(folder)
    return configure(redis_url=redis_url, broker_url=settings.broker_url or broker_url)


def use_running(settings: Settings) -> Settings:
    """As `use`, where a `captioner up` runs in the data folder; else the settings as they are."""
    folder = data_folder.found(settings.data_dir)
    if not is_wanted(settings) or folder is None:
        return settings
    with _client(folder) as client:
        return use(folder, settings) if _answers(client) else settings


def write_conf(folder: DataFolder) -> Path:
    """Valkey's configuration: a socket that its owner alone may use, and every write on disk."""
    conf = folder.control / "valkey.conf"
    text = CONF.format(socket=_quoted(folder.valkey_socket), folder=_quoted(folder.valkey))
    conf.write_text(text)
    return conf


def end_orphaned(folder: DataFolder) -> None:
    """End a server that outlived its supervisor: two of them must never write the same files.

    Call it with the folder locked, when nobody else can be using one that answers.
    """
    with _client(folder) as client:
        deadline = time.monotonic() + ORPHAN_TIMEOUT_S
        while _answers(client) and time.monotonic() < deadline:
            with suppress(redis.RedisError):
                client.shutdown()
            time.sleep(0.1)


def _urls(folder: DataFolder) -> tuple[str, str]:
    """The server's address for redis-py, and for Celery (kombu) and Flower."""
    socket = folder.valkey_socket
    return f"unix://{socket}?db=0", f"redis+socket://{socket}?virtual_host=0"


def _client(folder: DataFolder) -> redis.Redis:
    once = Retry(NoBackoff(), 0)  # nobody is on their way there
    return redis.Redis(unix_socket_path=str(folder.valkey_socket), socket_timeout=5, retry=once)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
    except redis.RedisError:
        return True  # such as one that is still loading its data


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')
