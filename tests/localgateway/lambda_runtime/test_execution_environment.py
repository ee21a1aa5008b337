"""Execution environments, which are real processes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.outcomes import Failed, Returned
from tests.localgateway.lambda_runtime.handlers import invoked, with_function
from tests.localgateway.support import PATIENCE, Gateway


def test_what_a_function_prints_does_not_disturb_its_answer(
    project: Path,
) -> None:
    """Standard output is for logs, not for the response."""
    lines: list[bytes] = []

    outcome = with_function(
        project,
        "handlers.echo",
        lambda function: function.invoke({"a": "ü\n"}),
        log=lambda _, line: lines.append(line),
    )

    assert isinstance(outcome, Returned)
    assert lines == ["said {'a': 'ü\\n'}".encode()]


@pytest.mark.parametrize(
    ("handler", "cause"),
    [
        ("broken.handler", "ValueError: broken at import"),
        ("leaving.handler", "exited without a response"),
        ("handlers.missing", "has no attribute 'missing'"),
        ("nothing.handler", "No module named 'nothing'"),
    ],
)
def test_the_outcome_has_the_reason_of_a_failed_start(
    project: Path, handler: str, cause: str
) -> None:
    """The traceback of an import is in the outcome."""
    outcome = invoked(project, handler)

    assert isinstance(outcome, Failed)
    assert cause in outcome.cause


@pytest.mark.parametrize(
    ("handler", "event", "cause"),
    [
        ("handlers.told", {"raise": True}, "ValueError: as told"),
        ("handlers.unserializable", None, "TypeError"),
        ("handlers.die", None, "exited without a response"),
        ("handlers.leave", None, "exited without a response"),
    ],
)
def test_the_outcome_has_the_reason_of_a_failed_invocation(
    project: Path, handler: str, event: Any, cause: str
) -> None:
    """Exceptions, results that are not JSON and exits of the process are failures."""
    outcome = invoked(project, handler, event)

    assert isinstance(outcome, Failed)
    assert cause in outcome.cause


def test_an_environment_ends_with_its_gateway_even_if_it_hangs(project: Path) -> None:
    """A hung handler does not keep the process running after its gateway has gone."""

    async def use(function: Function) -> list[psutil.Process]:
        hanging = asyncio.create_task(function.invoke(None))
        while not (children := _environments(project)):
            await asyncio.sleep(0)
        while not function._all:
            await asyncio.sleep(0)

        [environment] = function._all
        environment._channel._transport.abort()
        await asyncio.to_thread(psutil.wait_procs, children, PATIENCE)
        await hanging
        return children

    children = with_function(project, "handlers.hang", use)

    assert children
    assert not any(child.is_running() for child in children)


def test_an_environment_has_lambdas_variables_and_no_more(gateway: Gateway, sample: Path) -> None:
    """It has the stage's and the function's variables, and none of the shell's settings."""
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
    run = gateway.run.variables
    assert variables["AWS_ACCESS_KEY_ID"] == run["AWS_ACCESS_KEY_ID"]
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
    """Both find the local address themselves."""
    with gateway.opened() as (sender, _), gateway.opened() as (receiver, connection_id):
        sender.send(json.dumps({"do": "send", "to": connection_id, "text": "hello"}))

        received = [receiver.recv(timeout=PATIENCE) for _ in range(2)]
    assert received == ["hello by Chalice", "hello by boto3"]


def _environments(project: Path) -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if child.cwd() == str(project)]
