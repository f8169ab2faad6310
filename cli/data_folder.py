"""The one folder in which `captioner up` keeps everything, and who may use it."""

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import click

MAX_SOCKET_PATH_BYTES = 100
"""Unix allows 107 (Linux) or 103 (macOS); a longer path cannot be bound."""
LONGEST_SOCKET = "supervisor.sock.4194304"
"""supervisord binds its socket under a name that ends in its process id, then links it."""
PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")
"""Other characters mean something in supervisord's configuration or in one client's URLs."""


@dataclass(frozen=True)
class DataFolder:
    """Paths in the folder."""

    root: Path
    control: Path
    """Sockets and what the parts are told: `run`, or if that path is long or odd a private
    temporary folder. Its `logs` leads to ours."""

    @property
    def run(self) -> Path:
        """Of use only while it runs: the lock, and what `control` has in other cases."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """One log for each part."""
        return self.root / "logs"

    @property
    def valkey(self) -> Path:
        """The append-only file of the Valkey server."""
        return self.root / "valkey"

    @property
    def valkey_socket(self) -> Path:
        """Where Valkey listens. It has no TCP port."""
        return self.control / "valkey.sock"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisord listens."""
        return self.control / "supervisor.sock"

    def lock(self) -> TextIO:
        """Claim the folder until the file is closed, here and in every process that shares it."""
        file = (self.run / "up.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                raise click.ClickException(self._taken(file.read().strip())) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        return file

    def tidy(self) -> None:
        """Remove the temporary folder, if there is one. Nothing may run any more."""
        if self.control != self.run:
            shutil.rmtree(self.control, ignore_errors=True)
            (self.run / "control").unlink(missing_ok=True)

    def _taken(self, pid: str) -> str:
        if pid.isdigit() and not _is_alive(int(pid)):
            return (
                f"An earlier captioner that was killed is still finishing its work in {self.root}. "
                "Try again in half a minute."
            )
        return (
            f"Another captioner (process {pid or 'unknown'}) runs in {self.root}. "
            "Stop it, or choose another folder with --data-dir."
        )


def prepare(root: Path) -> DataFolder:
    """Make the folder and its parts, for this user alone. Raises when it cannot be written."""
    root = root.absolute()
    try:
        for path in (root, root / "run", root / "logs", root / "valkey"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "run").chmod(0o700)
        folder = DataFolder(root=root, control=_control(root / "run"))
        _link(folder.control / "logs", folder.logs)
        return folder
    except OSError as error:
        raise click.ClickException(
            f"The data folder {root} cannot be used: {error.strerror}. Choose another: --data-dir."
        ) from error


def found(root: Path) -> DataFolder | None:
    """The folder that `prepare` made there, if any. Makes and changes nothing."""
    run = root.absolute() / "run"
    if not run.is_dir():
        return None
    control = run / "control"
    return DataFolder(run.parent, control.readlink() if _is_private(control) else run)


def password(file: Path) -> str:
    """The password kept in that file, made at the first call; readable by its owner alone."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(18) + "\n")
    return file.read_text().strip()


def _control(run: Path) -> Path:
    if _fits(run):
        return run
    link = run / "control"  # a later start finds the temporary folder again
    if not _is_private(link):
        _link(link, Path(tempfile.mkdtemp(prefix="captioner-", dir="/tmp")))
    return link.readlink()


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _fits(run: Path) -> bool:
    plain = PLAIN_PATH.fullmatch(str(run)) is not None
    return plain and len(os.fsencode(run / LONGEST_SOCKET)) <= MAX_SOCKET_PATH_BYTES


def _is_private(link: Path) -> bool:
    try:
        target = link.readlink().lstat()
    except OSError:
        return False
    return target.st_mode == stat.S_IFDIR | 0o700 and target.st_uid == os.getuid()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
