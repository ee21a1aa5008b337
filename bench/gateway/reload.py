"""Measures reloading: `python -m bench.gateway.reload`.

Each round changes a module of a copy of the project, then sends pings over an open connection,
one after the other, until the new version answers.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

from localgateway.lambda_runtime.snapshots import take

PROJECT = Path(__file__).parents[2]
ROUNDS = 7
MODULE = Path("chalicelib", "handlers", "message.py")
INTERVAL = 0.02  # s
PONG = '"pong"'


def main() -> None:
    """Print the seconds from saving to the first answer of the new version."""
    with tempfile.TemporaryDirectory() as folder:
        project = take(PROJECT, Path(folder))
        command = [sys.executable, "-m", "localgateway", "--port=0", f"--project={project}"]
        with subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                line = next(line for line in process.stdout or () if "ws://" in line)
                [url] = re.findall(r"ws://\S+", line)
                times = sorted(measure(project, url))
            finally:
                process.terminate()
                process.wait()
    print(f"load {os.getloadavg()[0]:.1f}")
    print("save to served, s:", " ".join(f"{each:.2f}" for each in times))
    print(f"median {statistics.median(times):.2f}")


def measure(project: Path, url: str) -> list[float]:
    """Return the seconds of each round."""
    path = project / MODULE
    original = path.read_text()
    if PONG not in original:
        raise LookupError(f"{PONG} is not in {path}")
    times = []
    with connect(url) as client:
        for number in range(ROUNDS):
            answer = f"pong{number}"
            path.write_text(original.replace(PONG, f'"{answer}"'))
            saved = time.perf_counter()
            while answer not in ping(client):
                time.sleep(INTERVAL)
            times.append(time.perf_counter() - saved)
    return times


def ping(client: object) -> str:
    """Send a ping and return the answer."""
    client.send('{"action": "ping"}')  # type: ignore[attr-defined]
    return str(client.recv(timeout=60))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
