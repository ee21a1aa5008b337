"""Lambda's Invoke API, through boto3 and plain HTTP over real sockets."""

import http.client
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import pytest
from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

from localgateway.lambda_runtime import invoke_api as invocations
from localgateway.lambda_runtime.invoke_api import LIMITS
from tests.localgateway.support import PATIENCE, SIGNED, Gateway, Recorder, Told, running

WORK = "sample-dev-work"
PATH = f"/2015-03-31/functions/{WORK}/invocations"
ARN = f"arn:aws:lambda:us-east-1:123456789012:function:{WORK}"


def payload(answer: InvocationResponseTypeDef) -> Any:
    """Return the payload of a response."""
    return json.loads(answer["Payload"].read())


def posted(gateway: Gateway, path: str, body: bytes, kind: str = "Event") -> tuple[int, str, str]:
    """Send a plain request and return status, error type and body."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    try:
        headers = {"X-Amz-Invocation-Type": kind, "Authorization": SIGNED.format(service="lambda")}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        kind = response.headers.get("x-amzn-ErrorType", "")
        return response.status, kind, response.read().decode()
    finally:
        connection.close()


def told(by: str) -> Callable[[Told], bool]:
    """Select the function's reports of events with this name."""
    return lambda told: told.kind == "work" and told.content["by"] == by


@contextmanager
def logged() -> Iterator[SimpleQueue[logging.LogRecord]]:
    """Yield a queue of the gateway's log records about invocations."""
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logger, handler = logging.getLogger(invocations.__name__), QueueHandler(records)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("name", [WORK, f"{WORK}:$LATEST", ARN, f"123456789012:function:{WORK}"])
def test_a_function_is_invoked_by_its_name(gateway: Gateway, name: str) -> None:
    """By default the caller waits for the response; Lambda's forms of names all work."""
    answer = gateway.functions().invoke(FunctionName=name, Payload=json.dumps({"text": "ü"}))

    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert payload(answer) == {"given": {"text": "ü"}}


def test_an_invocation_without_a_payload_receives_an_empty_object(gateway: Gateway) -> None:
    """As in Lambda."""
    answer = gateway.functions().invoke(FunctionName=WORK)

    assert payload(answer) == {"given": {}}


def test_a_function_of_a_schedule_or_a_route_can_be_invoked_too(gateway: Gateway) -> None:
    """Every function of the project can be invoked."""
    known = len(gateway.recorder.all(lambda told: told.kind == "tick"))

    event = {"detail-type": "by hand", "source": "", "account": "", "time": "", "region": ""}
    event |= {"id": "", "resources": "", "detail": "", "version": ""}
    answer = gateway.functions().invoke(FunctionName="sample-dev-tick", Payload=json.dumps(event))

    assert payload(answer) is None
    told = gateway.recorder.wait(lambda told: told.kind == "tick", known + 1)[known]
    assert told.content["detail-type"] == "by hand"


def test_an_exception_is_returned_like_lambda_returns_it(gateway: Gateway) -> None:
    """The status is 200; the payload has the exception and its stack trace."""
    answer = gateway.functions().invoke(FunctionName=WORK, Payload=b'{"do": "raise"}')

    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    error = payload(answer)
    assert error["errorMessage"] == "a message went wrong"
    assert error["errorType"] == "ValueError"
    assert len(error["requestId"]) == 36
    assert "in fail" in error["stackTrace"][-1]
    assert "environment.py" not in "".join(error["stackTrace"])


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("exit", "Runtime.ExitError", "exited without a response"),
        ("hang", "Sandbox.Timedout", "Task timed out after 4.00 seconds"),
    ],
)
def test_the_exit_of_an_environment_is_returned_as_an_error(
    gateway: Gateway, how: str, kind: str, message: str
) -> None:
    """The caller receives a response however the process ends."""
    answer = gateway.functions().invoke(FunctionName=WORK, Payload=json.dumps({"do": how}))

    assert answer["FunctionError"] == "Unhandled"
    error = payload(answer)
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_an_asynchronous_invocation_does_not_wait_for_the_function(gateway: Gateway) -> None:
    """The response arrives while the function still runs."""
    name = str(uuid4())

    answer = gateway.functions().invoke(
        FunctionName=WORK,
        InvocationType="Event",
        Payload=json.dumps({"do": "hold", "by": name}),
    )

    assert answer["StatusCode"] == 202
    assert answer["Payload"].read() == b""
    [held] = gateway.recorder.wait(told(name))
    held.release()


def test_an_asynchronous_failure_is_logged_and_not_retried(gateway: Gateway) -> None:
    """Only the log shows the failure."""
    name = str(uuid4())
    event = json.dumps({"do": "raise", "by": name})

    with logged() as records:
        for _ in range(2):
            gateway.functions().invoke(FunctionName=WORK, InvocationType="Event", Payload=event)
        said = [records.get(timeout=PATIENCE).getMessage() for _ in range(2)]

    failed = "asynchronous invocation of sample-dev-work failed: ValueError: a message went wrong"
    assert said == [failed] * 2
    assert len(gateway.recorder.all(told(name))) == 2


def test_a_function_continues_in_a_new_invocation_of_itself(gateway: Gateway) -> None:
    """A client without an endpoint finds the local Lambda."""
    name = str(uuid4())
    event = {"do": "invoke", "with": {"do": "hold", "by": name}}

    answer = gateway.functions().invoke(FunctionName=WORK, Payload=json.dumps(event))

    assert payload(answer) == 202
    [held] = gateway.recorder.wait(told(name))
    held.release()


def test_a_dry_run_runs_nothing(gateway: Gateway) -> None:
    """It only checks that the function exists."""
    answer = gateway.functions().invoke(
        FunctionName=WORK, InvocationType="DryRun", Payload=b'{"do": "raise"}'
    )

    assert answer["StatusCode"] == 204
    assert "FunctionError" not in answer


@pytest.mark.parametrize("name", ["sample-dev-nothing", f"{WORK}:7"])
def test_an_unknown_function_or_version_is_not_found(gateway: Gateway, name: str) -> None:
    """The message lists the available functions."""
    client = gateway.functions()

    with pytest.raises(client.exceptions.ResourceNotFoundException) as raised:
        client.invoke(FunctionName=name)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert f"{name}; available: " in str(raised.value)
    assert WORK in str(raised.value)


def test_another_version_by_qualifier_is_not_found(gateway: Gateway) -> None:
    """Only `$LATEST` exists."""
    client = gateway.functions()

    latest = client.invoke(FunctionName=WORK, Qualifier="$LATEST")

    assert latest["StatusCode"] == 200
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.invoke(FunctionName=WORK, Qualifier="live")


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "code", "said"),
    [
        (PATH, b"{", "Event", 400, "InvalidRequestContentException", "into json"),
        (PATH, b"\xff", "Event", 400, "InvalidRequestContentException", "into json"),
        (PATH, b"{}", "Later", 400, "InvalidParameterValueException", "RequestResponse, Event"),
        (PATH.replace("invocations", "code"), b"", "Event", 404, "UnknownOperationException", ""),
        ("/2015-03-31/functions/a%20b/invocations", b"", "Event", 404, "ResourceNotFound", "a b"),
    ],
)
def test_an_invalid_request_is_refused(
    gateway: Gateway, path: str, body: bytes, kind: str, status: int, code: str, said: str
) -> None:
    """The error is Lambda's and says what is expected."""
    answered, error, message = posted(gateway, path, body, kind)

    assert answered == status
    assert error.startswith(code)
    assert said in message


@pytest.mark.parametrize("kind", ["Event", "RequestResponse"])
def test_a_payload_over_lambdas_limit_is_refused(gateway: Gateway, kind: str) -> None:
    """The limit is 1 MB asynchronously and 6 MB synchronously; one more byte is 413."""
    largest = b'"' + b"x" * (LIMITS[kind] - 2) + b'"'

    status, *_ = posted(gateway, PATH, largest, kind)
    refused, error, _ = posted(gateway, PATH, largest + b" ", kind)

    assert status in (200, 202)
    assert (refused, error) == (413, "RequestTooLargeException")


def test_stopping_aborts_and_logs_asynchronous_invocations(
    sample: Path, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway does not wait for asynchronous invocations."""
    name = str(uuid4())
    with caplog.at_level(logging.ERROR), running(sample, recorder) as gateway:
        event = json.dumps({"do": "hold", "by": name})
        gateway.functions().invoke(FunctionName=WORK, InvocationType="Event", Payload=event)
        recorder.wait(told(name))

        gateway.stop()

    assert "asynchronous invocation of sample-dev-work aborted by shutdown" in caplog.text
