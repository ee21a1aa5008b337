"""Servers as process trees: start, wait for the port, measure memory, stop."""

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

START_TIMEOUT = 60.0  # s
STOP_TIMEOUT = 15.0  # s
POLL_INTERVAL = 0.1  # s


class ServerError(Exception):
    """A server that did not start, with the end of what it printed."""

    def __init__(self, name: str, problem: str, log: Path) -> None:
        self.name, self.problem, self.log = name, problem, log

    def __str__(self) -> str:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return f"{self.name} {self.problem}; the end of {self.log}:\n{tail}"


@dataclass(frozen=True)
class Server:
    """A running server and every process that it started."""

    name: str
    process: psutil.Process

    def tree(self) -> list[psutil.Process]:
        """Return the server's process and all its descendants."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> dict[str, float]:
        """Return the CPU time in s that the tree has used, by what its processes do."""
        used: dict[str, float] = {}
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times, name = process.cpu_times(), _role(process)
                used[name] = used.get(name, 0.0) + times.user + times.system
        return used

    def memory(self) -> int:
        """Return the tree's memory in bytes; shared pages count once if the OS reports them."""
        return sum(_memory(process) for process in self.tree())


def _role(process: psutil.Process) -> str:
    command = process.cmdline()
    if any(part.endswith("bootstrap.py") for part in command):
        return process.environ().get("_HANDLER", "function").rpartition(".")[2]
    if "localgateway.aws.engine" in command:
        return "engine"
    return process.name() if "localgateway" not in command else "gateway"


def _memory(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0  # it exited after it was listed
    return int(getattr(info, "pss", info.rss))


def free_port() -> int:
    """Return a TCP port that is free on loopback now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    name: str, command: Sequence[str], port: int, log: Path, cwd: Path, env: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server within the block, which begins once its port accepts connections.

    Raises ServerError when it ends or stays silent for `START_TIMEOUT` s.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=output, stderr=output
        )
    server = Server(name, psutil.Process(child.pid))
    try:
        _wait_until_listening(server, child, port, log)
        yield server
    finally:
        _stop(server, child)


def _wait_until_listening(
    server: Server, child: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(POLL_INTERVAL)
            raise ServerError(server.name, f"ended with exit code {code}", log)
    raise ServerError(server.name, f"did not listen on port {port} in {START_TIMEOUT:g} s", log)


def _stop(server: Server, child: subprocess.Popen[bytes]) -> None:
    """Terminate the server, then kill the rest of its tree."""
    tree = server.tree() if child.poll() is None else []
    if tree:
        child.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(tree, STOP_TIMEOUT)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, STOP_TIMEOUT)
    child.wait(STOP_TIMEOUT)
