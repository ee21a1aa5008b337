"""Behaviour of functions and their execution environments, which are real processes."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from localgateway.lambda_runtime.functions import Function, FunctionDefinition
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut
from localgateway.process_environment import embedded
from tests.localgateway.support import PATIENCE, Gateway, Told

T = TypeVar("T")

HANDLERS = """
import os, sys, threading, time

def echo(event, context):
    print("said", event)
    return {"event": event, "pid": os.getpid()}

def hang(event, context):
    time.sleep(600)

def die(event, context):
    os.kill(os.getpid(), 9)

def leave(event, context):
    sys.exit(1)

def unserializable(event, context):
    return {1, 2}

def told(event, context):
    if "touch" in event:
        open(event["touch"], "w").close()
    if event.get("raise"):
        raise ValueError("as told")
    time.sleep(event.get("seconds", 0))
    return os.getpid()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project folder with handlers."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("raise ValueError('broken at import')\n")
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(3)\n")
    return tmp_path


def with_function(
    project: Path,
    handler: str,
    use: Callable[[Function], Awaitable[T]],
    *,
    timeout: int = 30,
    size: int = 1,
) -> T:
    """Use a function within an event loop, and stop its environments."""

    async def run() -> T:
        definition = FunctionDefinition("sample", handler, timeout, 128)
        surroundings = {
            **embedded(os.environ),
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://x",
        }
        function = Function(definition, project, surroundings, size)
        try:
            async with asyncio.timeout(PATIENCE * 2):
                return await use(function)
        finally:
            await function.stop()

    return asyncio.run(run())


def invoked(project: Path, handler: str, event: Any = None, *, timeout: int = 30) -> Outcome:
    """Invoke a function once."""
    return with_function(project, handler, lambda function: function.invoke(event), timeout=timeout)


def test_a_warm_environment_is_used_again(project: Path) -> None:
    """One after the other, events go to the same process."""

    async def use(function: Function) -> list[Outcome]:
        return [await function.invoke(number) for number in range(3)]

    outcomes = with_function(project, "handlers.echo", use, size=3)

    payloads = [outcome.payload for outcome in outcomes if isinstance(outcome, Returned)]
    assert [payload["event"] for payload in payloads] == [0, 1, 2]
    assert len({payload["pid"] for payload in payloads}) == 1


def test_what_a_function_prints_does_not_disturb_its_answer(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for logs, and reaches the terminal."""
    outcome = invoked(project, "handlers.echo", {"a": "ü\n"})

    assert isinstance(outcome, Returned)
    assert "said {'a': 'ü\\n'}" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("handler", "cause"),
    [
        ("broken.handler", "ValueError: broken at import"),
        ("leaving.handler", "ended without an answer"),
        ("handlers.missing", "has no attribute 'missing'"),
        ("nothing.handler", "No module named 'nothing'"),
    ],
)
def test_an_environment_that_cannot_start_says_why(project: Path, handler: str, cause: str) -> None:
    """The traceback of an import is in the outcome."""
    outcome = invoked(project, handler)

    assert isinstance(outcome, Failed)
    assert cause in outcome.cause


@pytest.mark.parametrize(
    ("handler", "event", "cause"),
    [
        ("handlers.told", {"raise": True}, "ValueError: as told"),
        ("handlers.unserializable", None, "TypeError"),
        ("handlers.die", None, "ended without an answer"),
        ("handlers.leave", None, "ended without an answer"),
    ],
)
def test_a_function_that_fails_says_how(
    project: Path, handler: str, event: Any, cause: str
) -> None:
    """An exception, a result that is no JSON and the end of the process are failures."""
    outcome = invoked(project, handler, event)

    assert isinstance(outcome, Failed)
    assert cause in outcome.cause


def test_a_failure_costs_the_environment_only_if_it_broke_it(project: Path) -> None:
    """After an exception the process stays warm; after a timeout it is another."""

    async def use(function: Function) -> list[Outcome]:
        events: list[dict[str, int]] = [{}, {"raise": True}, {}, {"seconds": 600}, {}]
        return [await function.invoke(event) for event in events]

    first, raised, second, hung, third = with_function(project, "handlers.told", use, timeout=1)

    assert isinstance(raised, Failed)
    assert hung == TimedOut(1)
    assert first == second != third
    assert isinstance(third, Returned)


def test_an_idle_environment_that_died_is_replaced(project: Path) -> None:
    """An event never goes to a process that is known to be gone."""

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
    """Waiting for an environment ends with the caller's patience, and the event is dropped."""

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
    """A caller whose patience ends leaves the function running until its own timeout."""

    async def use(function: Function) -> tuple[Outcome, Outcome, Outcome]:
        warm = await function.invoke({})

        given_up = await function.invoke({"seconds": 0.5}, 0.1)
        return warm, given_up, await function.invoke({})

    warm, given_up, after = with_function(project, "handlers.told", use)

    assert given_up == TimedOut(0.1)
    assert after == warm


def test_an_environment_ends_with_its_gateway_even_if_it_hangs(project: Path) -> None:
    """When the gateway's end of the channel is gone, a hung handler does not keep the process."""

    async def use(function: Function) -> list[psutil.Process]:
        hanging = asyncio.create_task(function.invoke(None))
        while not (children := _environments(project)):
            await asyncio.sleep(0)
        while not function._all:
            await asyncio.sleep(0)

        [environment] = function._all
        environment._writer.transport.abort()
        await asyncio.to_thread(psutil.wait_procs, children, PATIENCE)
        await hanging
        return children

    children = with_function(project, "handlers.hang", use)

    assert children
    assert not any(child.is_running() for child in children)


def test_an_environment_has_what_lambda_gives_it_and_no_more(
    gateway: Gateway, sample: Path
) -> None:
    """The stage's and the function's variables are there, and none of the shell's settings."""
    with gateway.client() as client:
        client.send(json.dumps({"do": "environment"}))
        variables = json.loads(client.recv(timeout=PATIENCE))
        client.send(json.dumps({"do": "context"}))
        context = json.loads(client.recv(timeout=PATIENCE))

    name = "sample-dev-websocket_message"
    assert variables["STAGE_VARIABLE"] == "of dev"
    assert variables["FUNCTION_VARIABLE"] == "of messages"
    assert variables["_HANDLER"] == "app.serve"
    assert variables["LAMBDA_TASK_ROOT"] == str(sample)
    assert variables["AWS_ACCESS_KEY_ID"] == "local"
    assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert not {"PYTHONPATH", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV", "PWD"} & variables.keys()
    assert context["function_name"] == variables["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert context["function_version"] == "$LATEST"
    assert context["memory_limit_in_mb"] == "256"
    assert context["arn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert context["log_group"] == f"/aws/lambda/{name}"
    assert "[$LATEST]" in context["log_stream"]
    assert 0 < context["remaining_ms"] <= 3000
    assert len(context["aws_request_id"]) == 36


def test_a_function_can_send_through_chalice_and_through_boto3(gateway: Gateway) -> None:
    """Neither needs to be told the local address."""
    with gateway.opened() as (sender, _), gateway.opened() as (receiver, connection_id):
        sender.send(json.dumps({"do": "send", "to": connection_id, "text": "hello"}))

        received = [receiver.recv(timeout=PATIENCE) for _ in range(2)]
    assert received == ["hello by Chalice", "hello by boto3"]


def test_environments_serve_side_by_side_and_events_wait_in_order(gateway: Gateway) -> None:
    """Each environment has one event at a time, and the next event is the one that came first."""
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


def _environments(project: Path) -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if child.cwd() == str(project)]
