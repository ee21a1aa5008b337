"""Measure what the gateway's observer costs: `python -m bench.gateway.observer --check`.

A cycle is a handshake and a close. The observer's own calls of a cycle are timed here; a running
gateway tells the CPU of a whole cycle, of all its processes.
"""

import asyncio
import json
import statistics
import sys
import time

import click

from bench.gateway import load, subjects, table
from bench.gateway.processes import free_port
from localgateway.api_gateway import events
from localgateway.observer.events import Closed, Ended, Finished, HandshakeBegan, Opened
from localgateway.observer.observer import Observer, content

LIMIT = 0.03  # of a cycle's CPU
REPEATS = 5000
AT_ONCE = 4
API = events.Api("dev", "127.0.0.1:8765", 8765)
HANDSHAKE = events.Handshake(
    "127.0.0.1",
    (("Host", "127.0.0.1:8765"), ("User-Agent", "Python"), ("Sec-WebSocket-Version", "13")),
    (("clientId", "ada"),),
)
ANSWER = json.dumps({"result": {"headers": {}, "statusCode": 200, "body": "connected"}}).encode()
METRICS = [{"Name": "Opened", "Unit": "Count"}]
DIRECTIVE = {"Namespace": "N", "Dimensions": [["service", "stage"]], "Metrics": METRICS}
# About as long as the lines of `connect` and `disconnect`.
LINE = json.dumps(
    {
        "level": "INFO",
        "message": "connected",
        "Opened": 1,
        "service": "s",
        "stage": "dev",
        "connection": {f"attribute{number}": "a value of it" for number in range(14)},
        "_aws": {"Timestamp": 1, "CloudWatchMetrics": [DIRECTIVE]},
    }
).encode()


def observed(observer: Observer) -> float:
    """Record the events of a cycle and return the seconds that it took."""
    occasion = events.occasion_now()
    client = events.Client(events.new_id(), occasion.at, HANDSHAKE.source_ip, HANDSHAKE.user_agent)
    name = client.connection_id
    opening = events.connect_event(API, client, HANDSHAKE, occasion, "trace")
    closing = events.disconnect_event(API, client, occasion, 1000, None)
    lines = [json.dumps(each).encode() for each in (opening, closing)]
    started = time.perf_counter()
    observer.record(
        HandshakeBegan(name, occasion.at, client.source_ip, 5, client.user_agent, {}, None, None)
    )
    run(observer, "connect", opening, lines[0])
    observer.record(Opened(name, None, 1.0))
    observer.record(Closed(name, 1000, "", 1.0))
    run(observer, "disconnect", closing, lines[1])
    observer.record(Ended(name, "delivered"))
    return time.perf_counter() - started


def run(observer: Observer, function: str, event: object, line: bytes) -> None:
    """Record an invocation."""
    number = observer.started(function, event, line)
    observer.logged(function, number, LINE)
    observer.record(Finished(number, function, "ok", 1.0, False, 1, content(ANSWER)))


def cycle_cpu(cycles: int) -> float:
    """Return the CPU of a cycle in s, of the gateway and all its processes."""
    port = free_port()
    with subjects.gateway("--dynamodb-port", str(port)) as gateway:
        rows = table.connect(f"http://127.0.0.1:{port}", subjects.credentials(gateway.port))
        asyncio.run(load.cycle_batch(gateway.url, rows, cycles // 4, AT_ONCE, 60.0))
        before = sum(gateway.server.cpu().values())
        batch = asyncio.run(load.cycle_batch(gateway.url, rows, cycles, AT_ONCE, 120.0))
        return (sum(gateway.server.cpu().values()) - before) / len(batch.handshakes)


@click.command()
@click.option("--cycles", default=400, show_default=True, type=click.IntRange(10, 10_000))
@click.option("--check", is_flag=True, help="Exit with 1 when the limit is exceeded.")
def main(cycles: int, check: bool) -> None:
    """Print the observer's time, the CPU of a cycle, and the share."""
    subjects.CACHE.mkdir(parents=True, exist_ok=True)
    observer = Observer()
    own = statistics.median(observed(observer) for _ in range(REPEATS))
    whole = cycle_cpu(cycles)
    print(f"observer {1e6 * own:.0f} µs of {1e3 * whole:.1f} ms a cycle: {own / whole:.1%}")
    sys.exit(1 if check and own > LIMIT * whole else 0)


if __name__ == "__main__":
    main()
