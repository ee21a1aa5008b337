"""Measure what the gateway's observer costs: `python -m bench.gateway.observer --check`.

A gateway and one whose observer keeps nothing run in turns. A cycle is a handshake and a close. The
CPU of the gateway's own process is compared with that of the functions and the embedded AWS, which
do the same in both: so the machine's clock and other load cancel out.
"""

import asyncio
import statistics
import sys
from dataclasses import dataclass

import click

from bench.gateway import load, subjects, table
from bench.gateway.processes import free_port

LIMIT = 0.03  # of a cycle's CPU
AT_ONCE = 4
BATCH_S = 120.0
OBSERVED, UNOBSERVED = "localgateway", "bench.gateway.unobserved"
OTHERS = ("engine", "connect", "disconnect")


@dataclass(frozen=True)
class Cost:
    """The CPU of a cycle in ms: of the gateway's own process, and of the others."""

    own: float
    others: float


def measure(module: str, cycles: int) -> Cost:
    """Return the CPU of a cycle of a gateway that runs as this module."""
    port = free_port()
    with subjects.gateway("--dynamodb-port", str(port), module=module) as gateway:
        rows = table.connect(f"http://127.0.0.1:{port}", subjects.credentials(gateway.port))
        asyncio.run(load.cycle_batch(gateway.url, rows, cycles // 4, AT_ONCE, BATCH_S))
        before = gateway.server.cpu()
        batch = asyncio.run(load.cycle_batch(gateway.url, rows, cycles, AT_ONCE, BATCH_S))
        after = gateway.server.cpu()
    used = {name: 1000 * (after[name] - before.get(name, 0.0)) for name in after}
    others = sum(used.get(name, 0.0) for name in OTHERS)
    number = len(batch.handshakes)
    return Cost((sum(used.values()) - others) / number, others / number)


def share(observed: list[Cost], unobserved: list[Cost]) -> float:
    """Return the observer's share of a cycle's CPU."""
    with_it, without = (
        statistics.median(cost.own / cost.others for cost in costs)
        for costs in (observed, unobserved)
    )
    return (with_it - without) / (1 + with_it)


@click.command()
@click.option("--cycles", default=600, show_default=True, type=click.IntRange(10, 10_000))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 50))
@click.option("--check", is_flag=True, help="Exit with 1 when the limit is exceeded.")
def main(cycles: int, rounds: int, check: bool) -> None:
    """Print the CPU of each round, and the observer's share."""
    subjects.CACHE.mkdir(parents=True, exist_ok=True)
    observed: list[Cost] = []
    unobserved: list[Cost] = []
    for number in range(rounds):
        for module, costs in ((UNOBSERVED, unobserved), (OBSERVED, observed)):
            cost = measure(module, cycles)
            costs.append(cost)
            own = f"gateway {cost.own:.2f} ms, others {cost.others:.2f} ms a cycle"
            print(f"round {number}, {module}: {own}", flush=True)
    found = share(observed, unobserved)
    print(f"the observer takes {found:.1%} of a cycle's CPU; the limit is {LIMIT:.0%}")
    sys.exit(1 if check and found > LIMIT else 0)


if __name__ == "__main__":
    main()
