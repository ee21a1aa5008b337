"""What API Gateway is answered on an error, and how a refused handshake is counted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.adapters import table
from chalicelib.handlers import connect as opening
from tests.conftest import ROOT, TABLE, UNSET, Wire
from tests.support.embedded_metrics import assert_counts
from tests.support.events import CONNECTION_ID, connect_event, disconnect_event
from tests.support.lambda_context import Context
from tests.support.notifications import sns_event

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("event", "environment", "status", "reason"),
    [
        (connect_event(""), {}, 400, "event"),
        (connect_event(), {"CONNECTIONS_TABLE": UNSET}, 500, "settings"),
        (connect_event(), {"TTL_HOURS": "0"}, 500, "settings"),
        (connect_event(), {"CONNECTIONS_TABLE": "Nowhere"}, 500, "store"),
    ],
)
def test_a_refused_handshake_is_counted_by_reason(
    invoke: Invoke,
    logged: Logged,
    event: dict[str, Any],
    environment: dict[str, str],
    status: int,
    reason: str,
) -> None:
    """Whatever went wrong, and also when there are no settings to go by."""
    response = invoke("connect", event, **environment)

    assert response["statusCode"] == status
    [line] = logged()
    failed = {"Failures": (1, "Count")} if status == 500 else {}
    assert assert_counts(line) == {"Refused": (1, "Count"), **failed}
    assert (line["cause"], line["stage"]) == (reason, "dev")


def test_a_row_that_is_not_the_one_written_is_a_failed_verification(
    dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire, logged: Logged
) -> None:
    """It refuses the handshake, and is counted on its own as well."""

    def remove(**_: object) -> None:
        dynamodb.delete_item(TableName=TABLE, Key={"connectionId": {"S": CONNECTION_ID}})

    table.dynamodb().meta.events.register_first("before-call.dynamodb.GetItem", remove)

    assert invoke("connect", connect_event())["statusCode"] == 500
    assert wire.calls == ["PutItem", "GetItem", "DeleteItem"]
    [line] = logged()
    counted = assert_counts(line)
    assert counted == dict.fromkeys(("Failures", "Refused", "VerificationFailures"), (1, "Count"))
    assert line["cause"] == "unverified"


@pytest.mark.parametrize("environment", [{"CONNECTIONS_TABLE": UNSET}, {}])
def test_a_failed_disconnect_is_no_refused_handshake(
    invoke: Invoke, wire: Wire, logged: Logged, environment: dict[str, str]
) -> None:
    """There is nothing left to refuse, but it is counted as a failure."""
    wire.errors["DeleteItem"] = (400, "AccessDeniedException")

    assert invoke("disconnect", disconnect_event(), **environment)["statusCode"] == 500
    [line] = logged()
    assert line["level"] == "ERROR"
    assert assert_counts(line) == {"Failures": (1, "Count")}


def test_any_other_error_is_left_to_lambda(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the code shows as a failed function, not as a client's mistake."""

    def defect(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "connect", defect)

    with pytest.raises(ZeroDivisionError):
        invoke("connect", connect_event())


WEBSOCKET = ("connect", "disconnect", "message")
SQS = {"Records": [{"messageId": "1", "body": "{}", "eventSource": "aws:sqs"}]}
EVENTBRIDGE = {"version": "0", "id": "1", "detail-type": "x", "source": "aws.ec2", "detail": {}}
FOREIGN: list[Any] = [
    *({}, [], "ping", 7, {"requestContext": None}, {"requestContext": []}),
    *({"source": "serverless-plugin-warmup"}, SQS, EVENTBRIDGE, sns_event()),
]


def without(name: str, event: dict[str, Any]) -> dict[str, Any]:
    del event["requestContext"][name]
    return event


@pytest.mark.parametrize("function", WEBSOCKET)
@pytest.mark.parametrize("event", FOREIGN)
def test_a_payload_that_api_gateway_did_not_send_is_ignored(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, event: Any
) -> None:
    """One line that is not an error, and no refused handshake: nobody connected."""

    def invoke_by_import(name: str, payload: Any) -> Any:
        return getattr(app, name)(payload, Context())

    for invoked in (invoke, invoke_by_import):
        response = invoked(function, event)

        assert response["statusCode"] == 400
        assert "expected an event of an API Gateway WebSocket API" in response["body"]
        [line] = logged()
        assert (line["level"], line["message"]) == ("WARNING", f"{function} ignored a payload")
        assert "_aws" not in line
    assert wire.calls == []


@pytest.mark.parametrize("function", WEBSOCKET)
@pytest.mark.parametrize("name", ["connectionId", "apiId", "stage", "domainName"])
@pytest.mark.parametrize("value", ["(missing)", None, "", 7, ["a"]])
def test_an_event_without_connection_or_api_is_a_bad_request(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, name: str, value: Any
) -> None:
    """Chalice would raise `KeyError` for most of them before the handler is called."""
    event = without(name, connect_event())
    if value != "(missing)":
        event["requestContext"][name] = value

    response = invoke(function, event)

    assert response["statusCode"] == 400
    assert response["body"].startswith(f"requestContext.{name} is ")
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", f"{function} failed")
    assert line["error"] == response["body"]
    counted = assert_counts(line) if "_aws" in line else {}
    assert counted == ({"Refused": (1, "Count")} if function == "connect" else {})


def test_an_invalid_field_is_shown_cut(invoke: Invoke, logged: Logged) -> None:
    """An event can hold megabytes."""
    response = invoke("connect", connect_event(["x" * 100_000]))

    assert len(response["body"]) == 500
    assert len(json.dumps(logged())) < 3000


@pytest.mark.parametrize("event", [event for event in FOREIGN if event != sns_event()])
def test_a_foreign_payload_is_refused_by_notify_without_a_retry(
    invoke: Invoke, wire: Wire, logged: Logged, event: Any
) -> None:
    """An exception would make Lambda deliver it twice more."""
    assert invoke("notify", event) is None

    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "refused")
    assert assert_counts(line) == {"Rejected": (1, "Count")}
    assert wire.calls == []


@pytest.mark.usefixtures("dynamodb")
def test_notify_delivers_a_record_without_subject_and_attributes(invoke: Invoke) -> None:
    """SNS sends them empty; an emulator leaves them out."""
    event = sns_event("hello")
    del event["Records"][0]["Sns"]["Subject"], event["Records"][0]["Sns"]["MessageAttributes"]

    assert invoke("notify", event)["failed"] == 0


def test_the_module_and_the_app_have_the_same_functions() -> None:
    """Lambda imports the one, `chalice.test.Client` looks up the other."""
    names = {"connect", "disconnect", "message", "notify", "connections", "close", "sweep"}
    names |= {"unclaimed"}

    assert app.app.handler_map.keys() == names
    for name in names:
        assert getattr(app, name) is app.app.handler_map[name]


IMPORT = [sys.executable, "-c", "import app"]


@pytest.mark.parametrize("hours", ["2", "24"])
def test_an_environment_warns_once_when_its_ttl_is_too_short(hours: str) -> None:
    """When it starts, and not at each invocation."""
    variables = {"TTL_HOURS": hours, "AWS_LAMBDA_FUNCTION_NAME": "connect"}

    output = subprocess.run(
        IMPORT, cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, text=True
    ).stdout

    lines = [json.loads(line) for line in output.splitlines()]
    if hours == "24":
        assert lines == []
    else:
        [line] = lines
        assert (line["level"], line["message"]) == ("WARNING", "connections may lose their rows")
        assert line["error"].startswith("TTL_HOURS is '2'; expected a number of hours from 3")


def test_packaging_refuses_a_ttl_that_is_too_short(tmp_path: Path) -> None:
    """With the stage's own variables, as `chalice package` and `chalice deploy` set them."""
    for folder in (".chalice", "chalicelib"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    config = tmp_path / ".chalice" / "config.json"
    config.write_text(config.read_text().replace('"TTL_HOURS": "24"', '"TTL_HOURS": "2"'))

    packaged = subprocess.run(
        [Path(sys.executable).with_name("chalice"), "package", str(tmp_path / "out")],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert packaged.returncode != 0
    assert "TTL_HOURS is '2'; expected a number of hours from 3 to 876000" in packaged.stderr
    assert not (tmp_path / "out").exists()
