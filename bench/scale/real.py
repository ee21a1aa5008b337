"""Compare the simulation with the real functions: `python -m bench.scale.real`.

The functions run as they are for 10,000 connections, against stubs of DynamoDB and `@connections`
that answer at once; the sweep keeps its own rate. Each line is what they did, and what the
simulated day does with as many.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
from botocore.config import Config

from bench import network
from bench.cost.logs import Context
from bench.scale.counted import counted, recorded, units_of
from bench.scale.deliveries import Deliveries
from bench.scale.load import Load
from bench.scale.recovery import LONGEST_S
from bench.scale.sweeping import TOO_OLD_S, Sweeping
from bench.sweep.__main__ import ENVIRONMENT, ROOT, stub
from bench.sweep.stub import CYCLE
from chalicelib.adapters import aws_clients
from chalicelib.services.probing import PROBES_A_SECOND
from tests.support.events import connect_event, disconnect_event
from tests.support.notifications import sns_event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECTIONS = 10_000
DEAD = 2 * CONNECTIONS // CYCLE  # half of them too old
LONG_S = 300.0
PROBES = "seconds of the sweep"


@dataclass(frozen=True)
class Compared:
    """One figure, as the functions came to it and as the simulation does."""

    name: str
    real: float
    simulated: float

    @property
    def agrees(self) -> bool:
        """Return whether they are the same; a busy machine makes a time longer, never shorter."""
        if self.name == PROBES:
            return self.real >= 0.99 * self.simulated
        return abs(self.real - self.simulated) < 0.5


class LongContext(Context):
    """The context of an invocation that has 5 minutes left."""

    def __init__(self) -> None:
        self._end = time.monotonic() + LONG_S

    def get_remaining_time_in_millis(self) -> int:
        """Return the ms left."""
        return round(1000 * (self._end - time.monotonic()))


def notified() -> Iterator[Compared]:
    """Notify all connections, of which some have ended."""
    with stub(CONNECTIONS) as url, _silent(url):
        from chalicelib.handlers.notify import notify

        report = notify(sns_event(), LongContext()) or {}
        counts = _counts(url)
    deliveries = Deliveries(Load(CONNECTIONS, notifications=(0.0,)))
    now, removed, orphans = 0, 0.0, float(DEAD)
    while not deliveries.done:
        wanted = deliveries.wanted(now, CONNECTIONS)
        removed += deliveries.step(now, wanted, orphans, CONNECTIONS)
        now += 1
    [done] = deliveries.done
    yield Compared("posts that reach a client", report["delivered"], done.posted)
    yield Compared("posts to ended connections", report["gone"], done.gone)
    yield Compared("rows removed after them", counts["removed rightly"], removed)


def swept() -> Iterator[Compared]:
    """Sweep the table once, at the rate of the function."""
    with stub(CONNECTIONS) as url, _silent(url):
        from chalicelib.handlers.sweep import sweep

        started = time.monotonic()
        report = sweep({}, LongContext())
        seconds = time.monotonic() - started
        counts = _counts(url)
    sweeping = Sweeping(PROBES_A_SECOND)
    sweeping.orphan(DEAD / 2, TOO_OLD_S)
    sweeping.orphan(DEAD / 2, LONGEST_S / 2)
    now = 0
    while not sweeping.passes:
        sweeping.step(now, sweeping.wanted(now), CONNECTIONS - DEAD)
        now += 1
    yield Compared("probes", report["probed"], sweeping.probed)
    yield Compared("rows removed by the sweep", counts["removed rightly"], sweeping.removed)
    yield Compared(PROBES, round(seconds, 1), sweeping.busy_s)


def connected() -> Iterator[Compared]:
    """Open and end all connections, one after the other."""
    network.answer_in_process()
    with _silent(""), recorded() as calls:
        import app  # reads its environment when it is invoked

        totals = []
        for function, event in ((app.connect, _handshake), (app.disconnect, disconnect_event)):
            writes = index = reads = 0.0
            for number in range(CONNECTIONS):
                calls.clear()
                function(event(f"L0SM9cOF{number:07}="), Context())
                units = units_of(calls)
                writes, index = writes + units.writes, index + units.index_writes
                reads += units.reads
            totals.append((writes, index, reads))
    for name, real, each in zip(
        ("handshakes", "ends"), totals, (counted().connect, counted().disconnect), strict=True
    ):
        yield Compared(f"write units of {name}", real[0], CONNECTIONS * each.writes)
        yield Compared(f"write units of {name}, index", real[1], CONNECTIONS * each.index_writes)
        yield Compared(f"read units of {name}", real[2], CONNECTIONS * each.reads)


def _handshake(connection_id: str) -> dict[str, Any]:
    return connect_event(connection_id, query={"clientId": [connection_id.strip("=")]})


@contextlib.contextmanager
def _silent(url: str) -> Iterator[None]:
    variables: Mapping[str, str] = {
        **ENVIRONMENT,
        "CONNECTIONS_TABLE": "IncidentWebSocketConnections-bench",
        "HISTORY_TABLE": "",
        "EVENT_BUS": "",
    }
    if url:
        variables = {
            **variables,
            "AWS_ENDPOINT_URL": url,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"{url}/dev",
        }
    # A stub on a busy machine may be slower than what the functions wait for AWS.
    patient = Config(read_timeout=LONG_S)
    aws_clients.CONFIG = aws_clients.CONFIG.merge(patient)
    before = dict(os.environ)
    os.environ |= variables
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _counts(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/counts") as answer:  # noqa: S310 - our own stub
        counts: dict[str, Any] = json.load(answer)
    return counts


STEPS = {step.__name__: step for step in (notified, swept, connected)}


def compared() -> list[Compared]:
    """Run each step in a process of its own: the functions keep their clients."""
    lines = []
    for step in STEPS:
        printed = subprocess.run(
            [sys.executable, "-m", "bench.scale.real", step],
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=LONG_S,
        ).stdout
        lines += [Compared(**fields) for fields in json.loads(printed)]
    return lines


@click.command(name="python -m bench.scale.real")
@click.argument("step", required=False, type=click.Choice(list(STEPS)))
def main(step: str | None) -> None:
    """Print both figures of each line, and fail when they differ; those of one STEP as JSON."""
    if step:
        click.echo(json.dumps([asdict(line) for line in STEPS[step]()]))
        return
    lines = compared()
    for line in lines:
        sign = "" if line.agrees else "   DIFFERS"
        click.echo(f"{line.name:40}{line.real:12,.1f}{line.simulated:12,.1f}{sign}")
    if not all(line.agrees for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
