"""Functions: concurrency, reuse and patience."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import psutil

from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut
from localgateway.observer.events import EnvironmentChanged, Finished, Logged, Started
from localgateway.observer.observer import Observer
from tests.localgateway.lambda_runtime.handlers import with_function
from tests.localgateway.support import PATIENCE, Gateway, Told


def runs_in(process: psutil.Process, project: Path) -> bool:
    """Return whether a process is an execution environment of a project."""
    try:
        return "bootstrap" in str(process.cmdline()) and process.cwd() == str(project)
    except psutil.NoSuchProcess:  # it has ended
        return False


def test_a_warm_environment_is_used_again(project: Path) -> None:
    """Sequential events go to the same process."""

    async def use(function: Function) -> list[Outcome]:
        return [await function.invoke(number) for number in range(3)]

    outcomes = with_function(project, "handlers.echo", use, size=3)

    payloads = [outcome.payload for outcome in outcomes if isinstance(outcome, Returned)]
    assert [payload["event"] for payload in payloads] == [0, 1, 2]
    assert len({payload["pid"] for payload in payloads}) == 1


def test_the_first_event_waits_for_the_environment_that_warms_up(project: Path) -> None:
    """It starts no other, although it may."""

    async def use(function: Function) -> tuple[Outcome, int]:
        function.warm_up()
        return await function.invoke({}), len(function._all)

    outcome, started = with_function(project, "handlers.told", use, size=2)

    assert isinstance(outcome, Returned)
    assert started == 1


def test_an_environment_that_died_before_its_first_event_is_replaced(project: Path) -> None:
    """One that was started to be warm may wait for long."""

    async def use(function: Function) -> Outcome:
        function.warm_up()
        while not function._all:
            await asyncio.sleep(0.01)
        [environment] = function._all
        psutil.Process(environment.pid).kill()
        while environment.usable:
            await asyncio.sleep(0.01)
        return await function.invoke({})

    assert isinstance(with_function(project, "handlers.told", use), Returned)


def test_an_environment_that_warms_up_ends_with_its_function(project: Path) -> None:
    """Also if it cannot start; only an event reports why."""
    for handler in ("handlers.told", "broken.echo"):

        async def use(function: Function) -> list[psutil.Process]:
            function.warm_up()
            await function.stop()
            return [each for each in psutil.Process().children() if runs_in(each, project)]

        assert with_function(project, handler, use) == []


def test_an_exception_keeps_the_environment_and_a_timeout_replaces_it(project: Path) -> None:
    """After an exception the process stays warm; after a timeout it is replaced."""

    async def use(function: Function) -> list[Outcome]:
        events: list[dict[str, int]] = [{}, {"raise": True}, {}, {"seconds": 600}, {}]
        return [await function.invoke(event) for event in events]

    first, raised, second, hung, third = with_function(project, "handlers.told", use, timeout=1)

    assert isinstance(raised, Failed)
    assert hung == TimedOut(1)
    assert first == second != third
    assert isinstance(third, Returned)


def test_an_idle_environment_that_died_is_replaced(project: Path) -> None:
    """An event never goes to a process that has exited."""

    async def use(function: Function) -> tuple[Outcome, Outcome]:
        before = await function.invoke({})
        assert isinstance(before, Returned)
        process = psutil.Process(before.payload)

        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(psutil.wait_procs, [process], PATIENCE)
        await asyncio.sleep(0)
        return before, await function.invoke({})

    before, after = with_function(project, "handlers.told", use)

    assert isinstance(after, Returned)
    assert after != before


def test_a_caller_without_patience_gives_up_waiting(project: Path) -> None:
    """The wait for an environment ends with the caller's patience, and the event is dropped."""

    async def use(function: Function) -> tuple[Outcome, Outcome, Outcome]:
        busy = asyncio.create_task(function.invoke({"seconds": 1.5}))
        await asyncio.sleep(0)

        impatient = await function.invoke({"touch": str(project / "touched")}, 0.1)
        patient = await function.invoke({}, PATIENCE)
        return await busy, impatient, patient

    busy, impatient, patient = with_function(project, "handlers.told", use)

    assert impatient == TimedOut(0.1)
    assert not (project / "touched").exists()
    assert isinstance(busy, Returned)
    assert patient == busy


def test_a_function_outlives_its_caller(project: Path) -> None:
    """The function keeps running until its own timeout."""

    async def use(function: Function) -> tuple[Outcome, Outcome, Outcome]:
        warm = await function.invoke({})

        given_up = await function.invoke({"seconds": 0.5}, 0.1)
        return warm, given_up, await function.invoke({})

    warm, given_up, after = with_function(project, "handlers.told", use)

    assert given_up == TimedOut(0.1)
    assert after == warm


def test_environments_serve_side_by_side_and_events_wait_in_order(gateway: Gateway) -> None:
    """Each environment has one event at a time; events wait in the order of their arrival."""
    with gateway.opened() as (client, connection_id):

        def held(told: Told) -> bool:
            return told.kind == "held" and told.content == connection_id

        for _ in range(4):
            client.send(json.dumps({"do": "hold"}))
        first, second = gateway.recorder.wait(held, 2)

        second.release()
        third = gateway.recorder.wait(held, 3)[2]

        assert first.pid != second.pid == third.pid
        third.release()
        fourth = gateway.recorder.wait(held, 4)[3]
        fourth.release()
        first.release()
        pids = [int(client.recv(timeout=PATIENCE)) for _ in range(4)]
    assert sorted(pids) == sorted([first.pid, second.pid, second.pid, second.pid])


def test_the_observer_sees_events_answers_lines_and_environments(project: Path) -> None:
    """Each line belongs to the invocation that wrote it; only the first event is a cold start."""
    observer = Observer()

    async def use(function: Function) -> Any:
        await function.invoke({"a": 1})
        await function.invoke({"a": 2})
        return function.environments()

    [environment] = with_function(project, "handlers.echo", use, observer=observer)

    events = [entry.event for entry in observer.after(0, 100)]
    started = [event for event in events if isinstance(event, Started)]
    finished = [event for event in events if isinstance(event, Finished)]
    lines = [event for event in events if isinstance(event, Logged)]
    assert [event.event for event in started] == [b'{"a": 1}', b'{"a": 2}']
    assert [event.cold for event in finished] == [True, False]
    assert [event.status for event in finished] == ["ok", "ok"]
    assert all(b'"event": {"a": ' in event.result for event in finished)
    assert {event.environment for event in finished} == {environment["id"]}
    assert [(event.invocation, event.line) for event in lines] == [
        (started[0].invocation, b"said {'a': 1}"),
        (started[1].invocation, b"said {'a': 2}"),
    ]
    changes = [event.change for event in events if isinstance(event, EnvironmentChanged)]
    assert changes == ["started", "ended"]


def test_an_environment_can_be_killed_and_another_started(project: Path) -> None:
    """The next event finds the new one warm; an unknown process is left alone."""

    async def use(function: Function) -> tuple[list[Any], list[bool]]:
        first = await function.invoke({})
        [environment] = function.environments()
        killed = [await function.kill(environment["id"]), await function.kill(os.getpid())]
        left = function.environments()
        function.warm_up()
        function.warm_up()
        second = await function.invoke({})
        return [first, second, left, function.environments()], killed

    (first, second, left, at_end), killed = with_function(project, "handlers.echo", use)

    assert killed == [True, False]
    assert left == []
    assert first.payload["pid"] != second.payload["pid"]
    assert [each["id"] for each in at_end] == [second.payload["pid"]]


def test_the_event_of_a_killed_environment_fails(project: Path) -> None:
    """As after a crash."""

    async def use(function: Function) -> Any:
        running = asyncio.create_task(function.invoke({}))
        while not function.environments():
            await asyncio.sleep(0)
        await function.kill(function.environments()[0]["id"])
        return await running

    outcome = with_function(project, "handlers.hang", use)

    assert isinstance(outcome, Failed)
    assert "exited without a response" in outcome.cause
