"""A supervisord configuration from a list of programs.

It knows nothing about captioner: a `Program` is a name, a command and how to stop it.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """\
[supervisord]
nodaemon=true
silent=true
nocleanup=true
logfile=%(here)s/logs/supervisord.log
logfile_maxbytes=10MB
logfile_backups=2
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s

[unix_http_server]
file={socket}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
command={command}
priority={priority}
autorestart=true
startsecs={start_s}
startretries=1000000
stopsignal={stop_signal}
stopwaitsecs={stop_s}
stopasgroup=false
killasgroup=true
environment={environment}
redirect_stderr=true
stdout_logfile=%(here)s/logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


@dataclass(frozen=True)
class Program:
    """What supervisord runs. The lowest priority starts first and stops last."""

    name: str
    command: tuple[str, ...]
    priority: int
    start_s: int
    """A shorter life counts as a failed start, and the next one is delayed a little more."""
    stop_s: int
    """After so many seconds the whole process group is killed."""
    stop_signal: str = "TERM"
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it has beside our own. Values without quotes."""


def configuration(programs: Sequence[Program], *, socket: Path) -> str:
    """The text of supervisord.conf, for a file beside a folder `logs`."""
    sections = (
        PROGRAM.format(
            name=program.name,
            command=_escaped(shlex.join(program.command)),
            priority=program.priority,
            start_s=program.start_s,
            stop_signal=program.stop_signal,
            stop_s=program.stop_s,
            environment=_escaped(",".join(f'{k}="{v}"' for k, v in program.environment.items())),
        )
        for program in programs
    )
    return HEAD.format(socket=_escaped(str(socket))) + "".join(sections)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
