"""How the end of a connection is told."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.adapters import aws_clients as sdk
from tests.conftest import TABLE, Wire
from tests.support.embedded_metrics import assert_counts
from tests.support.events import CONNECTED_AT, CONNECTION_ID, connect_event, disconnect_event

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]
BUS = "IncidentWebSocket-dev"


@pytest.fixture
def announced(dynamodb: DynamoDBClient) -> list[dict[str, Any]]:
    """Return the entries that are put on a bus, which is there."""
    assert dynamodb
    made: list[dict[str, Any]] = []

    def record(params: dict[str, Any], **_: object) -> None:
        made.extend(params["Entries"])

    boto3.client("events").create_event_bus(Name=BUS)
    sdk.client("events").meta.events.register("provide-client-params.events.PutEvents", record)
    return made


def intend(client: DynamoDBClient, cause: str) -> None:
    """Write the server's intent to the row, as a function does that is about to close it."""
    client.update_item(
        TableName=TABLE,
        Key={"connectionId": {"S": CONNECTION_ID}},
        UpdateExpression="SET closing = :cause",
        ExpressionAttributeValues={":cause": {"S": cause}},
    )


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("code", "reason", "lasted_ms", "cause"),
    [
        (1000, "Connection Closed Normally", 90_500, "client_closed"),
        (1001, "Going away", 600_000, "going_away"),
        (1001, "Going away", 7_200_000, "max_duration"),
        (1005, "Client-side close frame status not set", 10, "no_status"),
        (1006, None, 10, "abnormal"),
        (4321, "my own", 10, "application"),
        (None, None, 10, "unknown"),
    ],
)
def test_who_left_why_and_after_how_long(
    invoke: Invoke,
    logged: Logged,
    code: int | None,
    reason: str | None,
    lasted_ms: int,
    cause: str,
) -> None:
    """Who comes from the row: a `$disconnect` event has no query string."""
    invoke("connect", connect_event(query={"clientId": ["alice"]}))
    logged()

    invoke("disconnect", disconnect_event(code=code, reason=reason, lasted_ms=lasted_ms))

    [line] = logged()
    assert (line["level"], line["message"]) == ("INFO", "disconnected")
    assert (line["cause"], line["code"], line["reason"]) == (cause, code, reason)
    assert (line["clientId"], line["durationSeconds"]) == ("alice", lasted_ms / 1000)
    assert assert_counts(line) == {
        "Closed": (1, "Count"),
        "Duration": (lasted_ms / 1000, "Seconds"),
    }


@pytest.mark.parametrize("intent", ["kicked", "replaced"])
@pytest.mark.parametrize(("code", "explained"), [(1000, True), (1006, False)])
def test_the_server_s_intent_comes_from_the_row(
    dynamodb: DynamoDBClient,
    invoke: Invoke,
    logged: Logged,
    intent: str,
    code: int,
    explained: bool,
) -> None:
    """The server's close is reported as a plain 1000."""
    invoke("connect", connect_event())
    intend(dynamodb, intent)
    logged()

    invoke("disconnect", disconnect_event(code=code))

    [line] = logged()
    assert line["cause"] == (intent if explained else "abnormal")


@pytest.mark.usefixtures("dynamodb")
def test_an_end_of_nobody_known_is_logged_and_not_counted(invoke: Invoke, logged: Logged) -> None:
    """The function that removed the row has counted it."""
    invoke("disconnect", disconnect_event(code=1001))

    [line] = logged()
    assert (line["message"], line["cause"]) == ("already gone", "going_away")
    assert "_aws" not in line


def test_an_end_is_announced_once(
    announced: list[dict[str, Any]], invoke: Invoke, wire: Wire
) -> None:
    """A `$disconnect` that comes twice announces nothing the second time, and costs no more."""
    invoke("connect", connect_event(query={"clientId": ["alice"]}))
    before = len(wire.tries)

    for _ in range(2):
        response = invoke("disconnect", disconnect_event(code=1001), EVENT_BUS=BUS)
        assert (response["statusCode"], response["body"]) == (200, "disconnected")

    [entry] = announced
    assert (entry["EventBusName"], entry["Source"]) == (BUS, "incident-websocket")
    assert entry["DetailType"] == "Connection Closed"
    detail = json.loads(entry["Detail"])
    closed_at = detail.pop("closedAt")
    assert closed_at > CONNECTED_AT
    assert detail == {
        "id": f"{CONNECTION_ID}/1731324924561",
        "reason": None,
        "connectionId": CONNECTION_ID,
        "clientId": "alice",
        "cause": "going_away",
        "code": 1001,
        "connectedAt": CONNECTED_AT,
        "duration": 90.5,
    }
    assert wire.tries[before:] == ["DeleteItem", "DeleteItem"]


def test_nothing_is_announced_without_a_bus(
    announced: list[dict[str, Any]], invoke: Invoke
) -> None:
    """The default."""
    invoke("connect", connect_event())
    invoke("disconnect", disconnect_event())

    assert announced == []


def test_a_row_that_could_not_be_removed_is_not_announced(
    announced: list[dict[str, Any]], invoke: Invoke, wire: Wire
) -> None:
    """The sweep will, when it removes it."""
    invoke("connect", connect_event())
    wire.errors["DeleteItem"] = (400, "AccessDeniedException")

    invoke("disconnect", disconnect_event(), EVENT_BUS=BUS)

    assert announced == []


@pytest.mark.usefixtures("dynamodb")
def test_a_failed_announcement_fails_nothing(invoke: Invoke, logged: Logged) -> None:
    """The row is gone and the end is logged; the failure is logged and counted."""
    invoke("connect", connect_event())
    logged()

    response = invoke("disconnect", disconnect_event(), EVENT_BUS="nowhere")

    assert (response["statusCode"], response["body"]) == (200, "disconnected")
    ended, failed = logged()
    assert ended["message"] == "disconnected"
    assert failed["connectionId"] == CONNECTION_ID
    assert assert_counts(failed) == {"AnnouncementFailures": (1, "Count")}
