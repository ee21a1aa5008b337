"""The file that describes a running gateway, for the commands that talk to it.

It holds the run's credentials, so only its owner can read it, and it is removed at the end. The
gateway locks it: the file of a gateway that was killed is not locked any more.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from localgateway.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The rest of the name is the process id and something random.
_SOURCES = "sources-"


@dataclass(frozen=True)
class Run:
    """A running gateway: its process and port, where it serves what, and its credentials.

    `variables` are the environment variables with which AWS clients use it. With another DynamoDB
    the shell has the credentials for these clients, while `access_key` and `secret_key` are always
    the run's own. `functions` maps the short names of functions to those in Lambda; `topics` are
    ARNs, `tables` are names.
    """

    pid: int
    port: int
    project: str
    app: str
    stage: str
    url: str
    access_key: str
    secret_key: str = field(repr=False)
    variables: dict[str, str]
    functions: dict[str, str]
    topics: list[str]
    tables: list[str]
    console: str


def folder() -> Path:
    """Return the folder of the run files of this user; raise `RunError` if another owns it."""
    path = Path(tempfile.gettempdir()) / f"localgateway-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RunError(f"{path} has to be a folder that only its owner may open; remove it")
    return path


@contextlib.contextmanager
def snapshots() -> Iterator[Path]:
    """Keep a folder for snapshots of the sources within the block."""
    with tempfile.TemporaryDirectory(prefix=f"{_SOURCES}{os.getpid()}-", dir=folder()) as path:
        yield Path(path)


@contextlib.contextmanager
def written(run: Run) -> Iterator[Path]:
    """Keep the run's file within the block, and remove what killed gateways have left.

    The file is locked as long as the process lives, however it ends.
    """
    path = folder() / f"{run.port}.json"
    with contextlib.ExitStack() as stack:
        with _locked(path.parent):
            _clean(path.parent)
            new = path.with_suffix(f".{run.pid}")
            new.unlink(missing_ok=True)
            file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
            stack.enter_context(file)
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump(dataclasses.asdict(run), file, indent=2)
            file.flush()
            new.replace(path)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def find(port: int | None) -> Run:
    """Return the gateway that runs on `port`, or the only one; raise `RunError` otherwise."""
    runs = [run for path in sorted(folder().glob("*.json")) if (run := _read(path)) is not None]
    found = [run for run in runs if port in (None, run.port)]
    if len(found) == 1:
        return found[0]
    ports = ", ".join(str(run.port) for run in runs)
    if not found:
        where = "no gateway runs" + (f" on port {port}" if port else "")
        hint = (
            f"ports in use by gateways: {ports}"
            if ports
            else "start one with `python -m localgateway`"
        )
        raise RunError(f"{where}; {hint}")
    raise RunError(f"several gateways run; choose one with --port ({ports})")


def _read(path: Path) -> Run | None:
    try:
        with path.open() as file:
            if _unlocked(file):
                return None
            return Run(**json.load(file))
    except (OSError, ValueError, TypeError):  # it ended, or another version wrote the file
        return None


def _unlocked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clean(path: Path) -> None:
    for file in path.glob("*.json"):
        # Its gateway may end meanwhile; one of an older version does not lock its file.
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError), file.open() as opened:
            if _unlocked(opened) and not _lives(json.load(opened)["pid"]):
                file.unlink()
    for sources in path.glob(f"{_SOURCES}*"):
        if not _lives(int(sources.name.removeprefix(_SOURCES).partition("-")[0])):
            shutil.rmtree(sources, ignore_errors=True)


def _lives(pid: int) -> bool:
    """Return whether the process lives and is this user's, as all gateways here are."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
