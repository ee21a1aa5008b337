"""Counts what the functions ask of AWS for one connection, by running them."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore import client as botocore_client

from bench.cost import logs
from tests.support.events import connect_event, disconnect_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLIENT = "ada"
BUS = "bench"
WRITE_BYTES, READ_BYTES = 1024, 4096
# Environment variables with which the functions do all that a stage with tokens does.
VARIABLES = {"EVENT_BUS": BUS, "RECOVER_OWN": "always"}
RECOVER = {"action": "recover", "n": 1}
PING = {"action": "ping", "heads": True, "n": 2}
Calls = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Units:
    """What one step costs: units of DynamoDB, those of the index apart, and published events.

    `hot_reads` are the read units of the history's stream `all`, which is one partition.
    """

    writes: float = 0.0
    index_writes: float = 0.0
    reads: float = 0.0
    hot_reads: float = 0.0
    events: float = 0.0


@dataclass(frozen=True)
class Counted:
    """What the functions ask for: at a handshake, an end, a ping with heads, a recovery."""

    connect: Units
    disconnect: Units
    ping: Units
    recover: Units
    logs: logs.LogBytes


@functools.cache
def counted() -> Counted:
    """Run each function once on an in-process AWS and count."""
    handshake = connect_event(query={"clientId": [CLIENT]})
    measured = logs.measure(handshake, disconnect_event())
    silent = contextlib.redirect_stdout(io.StringIO())
    with logs.stage(), _environment(VARIABLES), silent, recorded() as calls:
        import app  # reads its environment when it is invoked

        boto3.client("events").create_event_bus(Name=BUS)
        steps: dict[str, Callable[[], object]] = {
            "connect": lambda: app.connect(handshake, logs.Context()),
            "recover": lambda: app.message(_message(RECOVER), logs.Context()),
            "ping": lambda: app.message(_message(PING), logs.Context()),
            "disconnect": lambda: app.disconnect(disconnect_event(), logs.Context()),
        }
        units = {}
        for name, step in steps.items():
            if name == "ping":
                step()  # an environment remembers the newest number of the stream `all`
            calls.clear()
            step()
            units[name] = units_of(calls)
    return Counted(logs=measured, **units)


def units_of(calls: Calls) -> Units:
    """Return the units of calls with items that are smaller than one unit."""
    writes = index = reads = hot = events = 0.0
    for name, asked in calls:
        if name in ("PutItem", "DeleteItem", "UpdateItem"):
            writes += 1
            index += "Connections" in asked["TableName"] and name != "UpdateItem"
        elif name in ("GetItem", "Query"):
            unit = 1.0 if asked.get("ConsistentRead") else 0.5
            reads += unit
            hot += unit * ('"all"' in json.dumps(asked))
        elif name == "PutEvents":
            events += len(asked["Entries"])
        else:
            raise ValueError(f"{name} is called; its units are not known here")
    return Units(writes, index, reads, hot, events)


def write_units(size: int) -> int:
    """Return the write units of an item of `size` bytes."""
    return math.ceil(size / WRITE_BYTES)


@contextlib.contextmanager
def recorded() -> Iterator[Calls]:
    """Record the name and the parameters of each call of a client."""
    calls: Calls = []
    patched: Any = botocore_client.BaseClient  # botocore's events miss clients made before
    call = patched._make_api_call

    def record(client: object, name: str, asked: dict[str, Any]) -> Any:
        calls.append((name, asked))
        return call(client, name, asked)

    patched._make_api_call = record
    try:
        yield calls
    finally:
        patched._make_api_call = call


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ |= variables
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _message(body: dict[str, Any]) -> dict[str, Any]:
    """Return the event of a message."""
    event = disconnect_event()
    event["requestContext"] |= {
        "routeKey": "$default",
        "eventType": "MESSAGE",
        "messageId": "NcWzvE4IIAMFUgA=",
    }
    return event | {"body": json.dumps(body)}
