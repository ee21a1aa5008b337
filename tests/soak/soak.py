"""The soak: real clients of every kind, faults of every kind, and what must hold all along."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conftest import ROOT
from tests.soak import invariants
from tests.soak.crowd import Dialer, Raw, Visit, crowd, ws_clients
from tests.soak.invariants import Breach, Delivery, Series
from tests.soak.journal import Journal
from tests.soak.observer import SLOW_S, Observer
from tests.soak.plan import CLIENT_LIMIT, SWEEP_TIMEOUT_S, Plan, scale
from tests.soak.served import Served
from tests.soak.trouble import Troubles
from tests.storm.publishing import Publication, Publisher
from tests.storm.storm import breaches_of, ids_for
from tests.support.gateway import copy_project
from tests.support.readers import ProcessReaders, Told, node_readers, process_readers, until

KEEP_ALIVE_S = 10
SPREAD_S = 1
RENEWAL_S = (25, 50)
PUBLISH_EVERY_S = 1.0
NAMED = 0.3  # of the notifications
OPENING_S = 180  # limit for the last client to be there
SETTINGS = {"RECOVER_OWN": "always", "MAX_CONNECTIONS_PER_CLIENT": str(CLIENT_LIMIT)}


@dataclass
class Report:
    """What happened.

    `counts` are the numbers of things by name, `messages` those of the log's lines, `timeline` the
    time (epoch s) and the numbers of rows and of open sockets, `busy` the time and the share of
    the machine's CPU that was in use.
    """

    plan: Plan
    counts: dict[str, int]
    messages: Counter[str]
    timeline: list[tuple[float, int, int]]
    marks: list[tuple[float, str]]
    series: list[Series]
    busy: list[tuple[float, float]]
    breaches: list[Breach] = field(default_factory=list)


def soak(
    plan: Plan, folder: Path, spoil: Callable[[Path], object] = lambda _project: None
) -> Report:
    """Carry out a plan in a folder, which keeps the copy of the project and the log.

    `spoil` changes the copy before it is served.
    """
    project = folder / "project"
    copy_project(project, SETTINGS, {"sweep": SWEEP_TIMEOUT_S})
    scale(project)
    spoil(project)
    return asyncio.run(_soak(plan, folder, project))


async def _soak(plan: Plan, folder: Path, project: Path) -> Report:
    served = Served(project, Journal(), folder / "log")
    try:
        await served.start_engine()
        report = await _run(plan, served)
        await served.stop_gateway(kill=False)
        report.breaches += [Breach("process ended", each) for each in served.failures]
        return report
    finally:
        await served.stop()


async def _run(plan: Plan, served: Served) -> Report:
    async with _libraries(plan, served) as (readers, pids, troubles):
        told = {name: each for group in readers for name, each in group.told.items()}
        observer = Observer(served, pids)
        await until(lambda: all(each.state == "live" for each in told.values()), OPENING_S)
        publisher = _publisher(plan, served)
        async with observer.watching():
            async with _crowd(plan, served, observer) as visits, troubles.running():
                await _publish(publisher, plan)
                observer.is_sampling = False  # the load falls
            await publisher.finish()
            last = _publisher(plan, served, publisher)
            last.publish(None)  # shows that nothing was lost at the very end
            await last.finish()
            troubles.finish()
            expected = {name: ids_for(publisher.published, name) for name in told}
            with contextlib.suppress(TimeoutError):
                await until(
                    lambda: all(
                        len(told[name].notifications) >= len(expected[name]) for name in told
                    ),
                    plan.patience_s,
                )
            for group in readers:
                group.end()
            await _empty(plan, served, observer)
    _keep(served.log.with_name("told.json"), told, publisher)
    return _report(plan, served, observer, troubles, publisher, told, visits)


@asynccontextmanager
async def _libraries(
    plan: Plan, served: Served
) -> AsyncIterator[tuple[list[ProcessReaders], dict[str, int], Troubles]]:
    """Start the gateway and the clients of both libraries, in processes of their own."""
    command = (sys.executable, "-m", "tests.soak.reader")
    in_python = {"spread_seconds": SPREAD_S, "keep_alive_seconds": KEEP_ALIVE_S}
    in_node = {
        "spreadSeconds": SPREAD_S,
        "keepAliveSeconds": KEEP_ALIVE_S,
        "renewalMinutes": [bound / 60 for bound in RENEWAL_S],
    }
    troubles = Troubles(plan, served, [])
    await served.start_gateway(*troubles.options())
    path = os.pathsep.join(map(str, (ROOT, ROOT / "clients" / "python")))
    async with (
        process_readers(
            ("env", f"PYTHONPATH={path}", *command),
            served.url,
            plan.names["python"],
            renewal_seconds=RENEWAL_S,
            **in_python,
        ) as first,
        node_readers(served.url, plan.names["node"], **in_node) as second,
    ):
        troubles.readers = [first, second]
        pids = {"python readers": first.pid, "node readers": second.pid}
        yield [first, second], pids | {"engine": served.engine.pid}, troubles


@asynccontextmanager
async def _crowd(plan: Plan, served: Served, observer: Observer) -> AsyncIterator[list[Visit]]:
    async with AsyncExitStack() as stack:
        ws = await stack.enter_async_context(ws_clients(served.url))
        observer.others = {**observer.others, "ws clients": ws.pid}
        dialers: list[tuple[Dialer, list[str]]] = [
            (ws, plan.names["ws"]),
            (Raw(served.url), plan.names["raw"]),
        ]
        yield await stack.enter_async_context(crowd(dialers, plan.random("crowd")))


def _publisher(plan: Plan, served: Served, former: Publisher | None = None) -> Publisher:
    published = former.published if former else []
    carried = former.carried if former else {}
    return Publisher(
        served.functions,
        plan.random(f"publisher {len(published)}"),
        is_orderly="repeats" not in plan.faults,
        published=published,
        carried=carried,
    )


async def _publish(publisher: Publisher, plan: Plan) -> None:
    random = plan.random("notifications")
    names = sorted({name for names in plan.names.values() for name in names})
    until_s = time.monotonic() + plan.seconds
    while time.monotonic() < until_s:
        named = random.random() < NAMED
        publisher.publish(tuple(random.sample(names, random.randint(1, 3))) if named else None)
        await asyncio.sleep(random.uniform(0, 2 * PUBLISH_EVERY_S))


def _keep(path: Path, told: Mapping[str, Told], publisher: Publisher) -> None:
    """Write down what the clients of the libraries were told, beside the log."""
    evidence = {
        "published": [asdict(each) for each in publisher.published],
        "told": {name: vars(each) for name, each in told.items()},
    }
    path.write_text(json.dumps(evidence, default=str))


async def _empty(plan: Plan, served: Served, observer: Observer) -> None:
    """Wait until no row is left, without clients; what is left is a breach."""

    def is_empty() -> bool:
        return not observer.rows and not served.journal.open_at(time.time(), time.time())

    looks = len(observer.timeline)
    with contextlib.suppress(TimeoutError):
        await until(lambda: len(observer.timeline) > looks + 1 and is_empty(), plan.patience_s)
        return
    for name in sorted(observer.rows):
        observer.breaches.append(Breach("row left at the end", name))


def _report(
    plan: Plan,
    served: Served,
    observer: Observer,
    troubles: Troubles,
    publisher: Publisher,
    told: Mapping[str, Told],
    visits: list[Visit],
) -> Report:
    journal, published = served.journal, publisher.published
    deliveries = _deliveries(publisher)
    lives = [visit.life() for visit in visits]
    series = observer.sampler.series()
    late = [(start - SLOW_S, end + SLOW_S) for start, end in observer.sampler.full()]
    breaches = [
        *observer.breaches,
        *_of_libraries(told, published),
        *invariants.of_ends(journal, observer.gone, [*troubles.faulty, *observer.slow, *late]),
        *invariants.of_plain(deliveries, lives, troubles.lossy),
        *invariants.of_addressees(deliveries, lives),
        *invariants.of_processes(series),
    ]
    given = [note for each in told.values() for note in each.notifications]
    counts = {
        "published": len(published),
        "invocations of notify": publisher.invocations,
        "failed invocations of notify": publisher.failures,
        "given to library clients": len(given),
        "recovered by them": sum(note["recovered"] for note in given),
        "errors told to them": sum(len(each.errors) for each in told.values()),
        "goodbyes told to them": sum(len(each.goodbyes) for each in told.values()),
        "given to plain clients": sum(len(life.got) for life in lives),
        "visits of plain clients": len(lives),
        "connections opened": len(journal.sockets),
        "ends told": len(journal.ends),
        "sweeps": observer.sweeps,
        "complete passes": len(observer.passes),
        "looks at the table": len(observer.timeline),
        "interruptions": len(journal.interruptions),
        "tracebacks": sum(line.startswith("Traceback") for line in journal.unread),
        **troubles.counts,
    }
    return Report(
        plan,
        counts,
        journal.messages,
        observer.timeline,
        troubles.marks,
        series,
        observer.sampler.busy,
        breaches,
    )


def _of_libraries(told: Mapping[str, Told], published: list[Publication]) -> list[Breach]:
    return [
        Breach("promise to a library client", f"{name}: {words}")
        for name, each in told.items()
        for words in breaches_of(each, ids_for(published, name))
    ]


def _deliveries(publisher: Publisher) -> list[Delivery]:
    """Return the deliveries by one invocation each; others can not be judged."""
    found = []
    for each in publisher.published:
        carried = publisher.carried.get(each.id)
        if carried and not carried.report["handedOn"]:
            report = carried.report
            unsent = sum(report[name] for name in ("failed", "skipped", "expired"))
            found.append(
                Delivery(
                    each.id, each.client_ids, carried.first, carried.start, carried.end, unsent
                )
            )
    return found
