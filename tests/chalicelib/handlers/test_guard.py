"""What API Gateway is answered on an error, and how a refused handshake is counted."""

from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib import store
from chalicelib.handlers import connect as opening
from tests.chalicelib.telemetry.test_metrics import assert_counts
from tests.conftest import TABLE, UNSET, Wire
from tests.support.events import CONNECTION_ID, connect_event, disconnect_event

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
    assert assert_counts(line) == {"Refused": (1, "Count")}
    assert (line["cause"], line["stage"]) == (reason, "dev")


def test_a_row_that_is_not_the_one_written_is_a_failed_verification(
    dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire, logged: Logged
) -> None:
    """It refuses the handshake, and is counted on its own as well."""

    def remove(**_: object) -> None:
        dynamodb.delete_item(TableName=TABLE, Key={"connectionId": {"S": CONNECTION_ID}})

    store.dynamodb().meta.events.register_first("before-call.dynamodb.GetItem", remove)

    assert invoke("connect", connect_event())["statusCode"] == 500
    assert wire.calls == ["PutItem", "GetItem"]
    [line] = logged()
    assert assert_counts(line) == {"Refused": (1, "Count"), "VerificationFailures": (1, "Count")}
    assert line["cause"] == "unverified"


@pytest.mark.parametrize("environment", [{"CONNECTIONS_TABLE": UNSET}, {}])
def test_a_failed_disconnect_is_no_refused_handshake(
    invoke: Invoke, wire: Wire, logged: Logged, environment: dict[str, str]
) -> None:
    """There is nothing left to refuse."""
    wire.errors["DeleteItem"] = (400, "AccessDeniedException")

    assert invoke("disconnect", disconnect_event(), **environment)["statusCode"] == 500
    [line] = logged()
    assert line["level"] == "ERROR"
    assert "_aws" not in line


def test_any_other_error_is_left_to_lambda(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the code shows as a failed function, not as a client's mistake."""

    def defect(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(opening, "connect", defect)

    with pytest.raises(ZeroDivisionError):
        invoke("connect", connect_event())
