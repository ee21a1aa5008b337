"""The storm: clients of both libraries, a gateway with faults, and what must hold at the end."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from tests.storm.publishing import Publication, Publisher
from tests.support import engines
from tests.support.gateway import Gateway, serving
from tests.support.readers import Readers, Told, node_readers, python_readers, until

PYTHON_CLIENTS = 40
NODE_CLIENTS = 10
KILLS = 10
KICKS = 20
# Each client renews its connection in time, so that it has one too many for a moment.
SETTINGS = {
    "RECOVER_OWN": "always",
    "MAX_CONNECTIONS_PER_CLIENT": "1",
    "KEEP_ALIVE_SECONDS": "30",
    "SILENT_AFTER_SECONDS": "90",
}
NAMED = 0.3  # of the publications
RENEWAL_S = (15, 25)
KEEP_ALIVE_S = 5
SETTLING_S = 300  # limit for the last client to get the last notification
CLOSE = "incident-websocket-dev-close"
RETURNING = ("unknown", "kicked")
FAULTS = (
    "--max-duration=40",
    "--drop-disconnects=0.5",
    "--drop-posts=0.01",
    "--repeat-messages=0.02",
    "--shuffle-messages=0.05",
    "--environments=3",
    "--no-reload",
)
# Another DynamoDB than the embedded one does not fail on demand.
IF_EMBEDDED = "--dynamodb-fail=0.01"


@dataclass(frozen=True)
class Report:
    """What happened. `breaches` are the broken promises, in words."""

    publications: int
    given: int
    recovered: int
    cuts: int
    kills: int
    kicks: int
    failures: int
    breaches: tuple[str, ...]


def storm(project: Path, *, seconds: float, publications: int, seed: int) -> Report:
    """Serve a copy of the project in the folder `project` and let the storm pass over it."""
    faults = (*FAULTS, IF_EMBEDDED) if engines.chosen() == "moto" else FAULTS
    with serving(project, *faults, settings=SETTINGS) as gateway:
        return asyncio.run(_storm(gateway, seconds, publications, Random(seed)))


async def _storm(gateway: Gateway, seconds: float, publications: int, random: Random) -> Report:
    in_python = [f"python-{number}" for number in range(PYTHON_CLIENTS)]
    in_node = [f"node-{number}" for number in range(NODE_CLIENTS)]
    common = {"spread_seconds": 1.0, "keep_alive_seconds": KEEP_ALIVE_S}
    for_node = {
        "spreadSeconds": 1,
        "keepAliveSeconds": KEEP_ALIVE_S,
        "renewalMinutes": [bound / 60 for bound in RENEWAL_S],
    }
    client = gateway.client("lambda", gateway.lambda_endpoint)
    publisher = Publisher(client, random)
    async with (
        python_readers(gateway.url, in_python, renewal_seconds=RENEWAL_S, **common) as first,
        node_readers(gateway.url, in_node, **for_node) as second,
    ):
        told = {**first.told, **second.told}
        await until(lambda: all(each.state == "live" for each in told.values()), SETTLING_S)
        cutting = asyncio.create_task(_cut([first, second], random))
        killing = asyncio.create_task(_kill(gateway, seconds / KILLS, random))
        kicking = asyncio.create_task(_kick(gateway, sorted(told), seconds / KICKS, random))
        await _publish(publisher, sorted(told), seconds, publications, random)
        await publisher.finish()
        cuts, kills, kicks = [await _stopped(each) for each in (cutting, killing, kicking)]
        publisher = Publisher(
            client, random, published=publisher.published, failures=publisher.failures
        )
        publisher.publish(None)  # shows that nothing was lost at the very end
        await publisher.finish()
        expected = {client_id: ids_for(publisher.published, client_id) for client_id in told}
        with contextlib.suppress(TimeoutError):
            await until(
                lambda: all(len(told[each].notifications) >= len(expected[each]) for each in told),
                SETTLING_S,
            )
        breaches = [
            f"{client_id}: {breach}"
            for client_id, ids in expected.items()
            for breach in breaches_of(told[client_id], ids)
        ]
        breaches += _miscounted(gateway, told.values(), kicks)
    return Report(
        len(publisher.published),
        sum(len(each.notifications) for each in told.values()),
        sum(note["recovered"] for each in told.values() for note in each.notifications),
        cuts,
        kills,
        kicks,
        publisher.failures,
        tuple(breaches),
    )


async def _publish(
    publisher: Publisher, client_ids: list[str], seconds: float, number: int, random: Random
) -> None:
    for _ in range(number):
        named = random.random() < NAMED
        publisher.publish(tuple(random.sample(client_ids, random.randint(1, 3))) if named else None)
        await asyncio.sleep(random.uniform(0, 2 * seconds / number))


async def _cut(groups: list[Readers], random: Random) -> int:
    """Cut clients at random, each about every 10 s, until cancelled. Return how many."""
    clients = [(readers, client_id) for readers in groups for client_id in readers.told]
    cuts = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(random.uniform(0, 20 / len(clients)))
            readers, client_id = random.choice(clients)
            readers.cut(client_id)
            cuts += 1
    return cuts


async def _kick(gateway: Gateway, client_ids: list[str], every_s: float, random: Random) -> int:
    """Close a client's connection now and then, and let it come back. Return how many closed."""
    lambda_ = gateway.client("lambda", gateway.lambda_endpoint)
    kicks = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
            request = {"clientId": random.choice(client_ids), "reconnect": True}
            payload = json.dumps(request).encode()
            closing = asyncio.ensure_future(
                asyncio.to_thread(lambda_.invoke, FunctionName=CLOSE, Payload=payload)
            )
            try:
                await asyncio.shield(closing)
            finally:  # what is under way at the end counts, too
                outcomes = json.loads((await closing)["Payload"].read()).get("connections", {})
                kicks += sum(outcome != "already gone" for outcome in outcomes.values())
    return kicks


async def _kill(gateway: Gateway, every_s: float, random: Random) -> int:
    """Kill an execution environment of `notify` now and then, until cancelled."""
    kills = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * every_s)
            found = await asyncio.to_thread(environments, gateway.process.pid)
            if serving_notify := [each for each in found if found[each] == "notify"]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    random.choice(serving_notify).kill()
                    kills += 1
    return kills


def environments(pid: int) -> dict[psutil.Process, str]:
    """Return the execution environments of a gateway, with the names of their functions."""
    found = {}
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):
                if handler := child.environ().get("_HANDLER"):
                    found[child] = handler.removeprefix("app.")
    return found


async def _stopped(task: asyncio.Task[int]) -> int:
    task.cancel()
    return await task


def ids_for(published: list[Publication], client_id: str) -> set[str]:
    """Return the ids of the notifications for a client."""
    return {
        each.id for each in published if each.client_ids is None or client_id in each.client_ids
    }


def breaches_of(told: Told, expected: set[str]) -> list[str]:
    """Return in words what a client was not told as promised, given the ids that it expects."""
    given = Counter(each["id"] for each in told.notifications)
    found = [f"not given: {identifier}" for identifier in sorted(expected - given.keys())]
    found += [f"not for it: {identifier}" for identifier in sorted(given.keys() - expected)]
    found += [f"given {number} times: {each}" for each, number in given.items() if number > 1]
    for stream in ("all", "own"):
        # one that could not be recorded has no stream
        numbers = [each["seq"] for each in told.notifications if each.get("stream") == stream]
        if numbers != sorted(set(numbers)):
            found.append(f"out of order: {stream}")
    found += [f"gap: {gap}" for gap in told.gaps]
    goodbyes = [each if isinstance(each, dict) else vars(each) for each in told.goodbyes]
    # A client that replaces its own connection is not told; nobody else has a second one.
    found += [f"goodbye: {each}" for each in goodbyes if each["reason"] not in RETURNING]
    found += [f"sent away: {each}" for each in goodbyes if not each["reconnect"]]
    return found


def _miscounted(gateway: Gateway, clients: Iterable[Told], kicks: int) -> list[str]:
    """Return what does not fit between what was closed, told to the clients, and reported."""
    ended = Counter(line["cause"] for line in gateway.logged("disconnected"))
    told = sum("kicked" in str(each) for client in clients for each in client.goodbyes)
    found = []
    if told > kicks:
        found.append(f"{told} clients were told that they were kicked, but {kicks} were")
    if ended["kicked"] > kicks:
        found.append(f"{ended['kicked']} ends reported as kicked, but {kicks} were")
    if not ended["replaced"]:
        found.append(f"no end reported as replaced: {dict(ended)}")
    return found
