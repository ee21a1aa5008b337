"""`connect` and `disconnect`, invoked through `chalice.test.Client` as API Gateway does."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib.adapters import table
from tests.conftest import TABLE, UNSET, Wire
from tests.support.events import CONNECTED_AT, CONNECTION_ID, connect_event, disconnect_event

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]
Rows = Callable[[], list[dict[str, Any]]]

EVENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "connect": connect_event,
    "disconnect": disconnect_event,
}
CONNECTED = (200, "connected")
DISCONNECTED = (200, "disconnected")
REFUSED = (500, "Internal server error")
METADATA = {
    "connectionId": CONNECTION_ID,
    "clientId": "unknown",
    "sourceIp": "203.0.113.7",
    "userAgent": "Mozilla/5.0",
    "region": "eu-west-1",
    "apiId": "abcdef1234",
    "stage": "dev",
    "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
}
ERRORS = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "denied": (400, "AccessDeniedException"),
    "broken": (500, "InternalServerError"),
    "missing": (400, "ResourceNotFoundException"),
}
each_error = pytest.mark.parametrize("error", ERRORS)


@pytest.fixture
def rows(dynamodb: DynamoDBClient) -> Rows:
    """Return a function that reads the table's items."""
    return lambda: list(dynamodb.scan(TableName=TABLE)["Items"])


def answer(response: dict[str, Any]) -> tuple[int, str]:
    """Return the two fields that API Gateway uses. There are no headers."""
    assert response["headers"] == response["multiValueHeaders"] == {}
    return response["statusCode"], response["body"]


@pytest.mark.parametrize(
    ("settings", "ttl_s"), [({}, 86_400), ({"TTL_HOURS": "2"}, 7200), ({"TTL_HOURS": "1"}, 3600)]
)
def test_connect_stores_and_logs_the_agreed_row(
    invoke: Invoke, rows: Rows, logged: Logged, settings: dict[str, str], ttl_s: int
) -> None:
    before = time.time_ns() // 1_000_000

    response = invoke("connect", connect_event(), **settings)

    after = time.time_ns() // 1_000_000
    assert answer(response) == CONNECTED
    [row] = rows()
    created_at = int(row["createdAt"]["N"])
    assert before <= created_at <= after
    numbers = {
        "createdAt": created_at,
        "ttl": created_at // 1000 + ttl_s,
        "connectedAt": CONNECTED_AT,
    }
    assert row == {
        **{name: {"S": text} for name, text in METADATA.items()},
        **{name: {"N": str(number)} for name, number in numbers.items()},
    }
    [line] = logged()
    assert (line["level"], line["message"]) == ("INFO", "connected")
    assert (line["function"], line["connectionId"]) == ("connect", CONNECTION_ID)
    assert len(line["requestId"]) == 36
    assert line["row"] == METADATA | numbers


def test_a_repeated_connect_leaves_one_row(invoke: Invoke, rows: Rows) -> None:
    """API Gateway may retry."""
    responses = [invoke("connect", connect_event()) for _ in range(2)]

    assert [answer(response) for response in responses] == [CONNECTED, CONNECTED]
    assert len(rows()) == 1


def test_disconnect_removes_the_row_of_its_connection_only(invoke: Invoke, rows: Rows) -> None:
    invoke("connect", connect_event("first="))
    invoke("connect", connect_event("second="))

    response = invoke("disconnect", disconnect_event("first="))

    assert answer(response) == DISCONNECTED
    assert [row["connectionId"]["S"] for row in rows()] == ["second="]


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("code", "reason", "timed"), [(1001, "Going away", True), (None, None, False)]
)
def test_disconnect_logs_code_reason_and_duration(
    invoke: Invoke, logged: Logged, code: int | None, reason: str | None, timed: bool
) -> None:
    """API Gateway may omit each. The duration then comes from the row."""
    invoke("connect", connect_event())
    logged()
    event = disconnect_event(code=code, reason=reason, lasted_ms=90_500)
    if not timed:
        del event["requestContext"]["connectedAt"]

    response = invoke("disconnect", event)

    assert answer(response) == DISCONNECTED
    [line] = logged()
    assert (line["level"], line["message"]) == ("INFO", "disconnected")
    assert (line["function"], line["connectionId"]) == ("disconnect", CONNECTION_ID)
    assert (line["code"], line["reason"]) == (code, reason)
    assert line["durationSeconds"] == 90.5 if timed else 0 <= line["durationSeconds"] < 60


@pytest.mark.usefixtures("dynamodb")
def test_a_repeated_disconnect_finds_the_row_already_gone(invoke: Invoke, logged: Logged) -> None:
    response = invoke("disconnect", disconnect_event())

    assert answer(response) == DISCONNECTED
    assert [line["message"] for line in logged()] == ["already gone"]


def test_disconnect_removes_a_malformed_row_with_a_warning(
    dynamodb: DynamoDBClient, invoke: Invoke, rows: Rows, logged: Logged
) -> None:
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": CONNECTION_ID}})

    response = invoke("disconnect", disconnect_event())

    assert answer(response) == DISCONNECTED
    assert rows() == []
    [line] = logged()
    assert line["level"] == "WARNING"
    assert "'createdAt'" in line["error"]


@each_error
def test_connect_is_refused_if_the_row_is_not_written(
    invoke: Invoke, rows: Rows, wire: Wire, logged: Logged, error: str
) -> None:
    """So every open connection is tracked."""
    wire.errors["PutItem"] = ERRORS[error]

    response = invoke("connect", connect_event())

    assert answer(response) == REFUSED
    assert rows() == []
    uncertain = ERRORS[error][0] >= 500  # the row may have been written, so it is removed
    assert sorted(set(wire.calls)) == ["DeleteItem", "PutItem"][not uncertain :]
    [line] = logged()
    assert line["level"] == "ERROR"
    assert f"PutItem on table '{TABLE}' failed: {ERRORS[error][1]}: " in line["error"]


def test_connect_is_refused_if_the_table_does_not_exist(
    invoke: Invoke, rows: Rows, logged: Logged
) -> None:
    response = invoke("connect", connect_event(), CONNECTIONS_TABLE="Nowhere")

    assert answer(response) == REFUSED
    assert rows() == []
    [line] = logged()
    assert "PutItem on table 'Nowhere' failed: ResourceNotFoundException" in line["error"]


@each_error
def test_connect_is_accepted_with_a_warning_if_only_the_read_back_fails(
    invoke: Invoke, rows: Rows, wire: Wire, logged: Logged, error: str
) -> None:
    """The row is stored."""
    wire.errors["GetItem"] = ERRORS[error]

    response = invoke("connect", connect_event())

    assert answer(response) == CONNECTED
    assert len(rows()) == 1
    [line] = logged()
    assert line["level"] == "WARNING"
    assert ERRORS[error][1] in line["error"]
    assert line["row"]["connectionId"] == CONNECTION_ID


KEY: Any = {"connectionId": {"S": CONNECTION_ID}}


@pytest.mark.parametrize(
    ("replacement", "found"),
    [
        (None, "no row"),
        ({**KEY, "createdAt": {"N": "1731324924561"}, "ttl": {"N": "2"}}, "read {"),
        (KEY, "attribute 'createdAt'"),
    ],
)
def test_connect_is_refused_if_another_row_is_read_back(
    dynamodb: DynamoDBClient,
    invoke: Invoke,
    wire: Wire,
    logged: Logged,
    replacement: Any,
    found: str,
) -> None:
    """Somebody changes the row between the write and the read."""

    def before_read(**_: object) -> None:
        dynamodb.delete_item(TableName=TABLE, Key=KEY)
        if replacement:
            dynamodb.put_item(TableName=TABLE, Item=replacement)

    table.dynamodb().meta.events.register_first("before-call.dynamodb.GetItem", before_read)

    response = invoke("connect", connect_event())

    assert answer(response) == REFUSED
    assert wire.calls == ["PutItem", "GetItem", "DeleteItem"]
    [line] = logged()
    assert line["level"] == "ERROR"
    assert found in line["error"]


def test_connect_accepts_a_row_that_close_has_marked(
    dynamodb: DynamoDBClient, rows: Rows, invoke: Invoke
) -> None:
    """The sweep closes a connection that was marked while its handshake ran."""
    marks: dict[str, Any] = {
        "closing": {"S": "kicked"},
        "closingAt": {"N": "7"},
        "closeReason": {"S": "draining"},
    }

    def mark(**_: object) -> None:
        [row] = dynamodb.scan(TableName=TABLE)["Items"]
        dynamodb.put_item(TableName=TABLE, Item=row | marks)

    table.dynamodb().meta.events.register_first("before-call.dynamodb.GetItem", mark)

    assert invoke("connect", connect_event())["statusCode"] == 200

    [row] = rows()
    assert marks.items() <= row.items()


@each_error
def test_disconnect_that_cannot_delete_the_row_answers_500_and_logs_the_end(
    invoke: Invoke, rows: Rows, wire: Wire, logged: Logged, error: str
) -> None:
    invoke("connect", connect_event())
    logged()
    wire.errors["DeleteItem"] = ERRORS[error]

    response = invoke("disconnect", disconnect_event(code=1006, reason=None))

    assert answer(response) == REFUSED
    assert len(rows()) == 1
    [line] = logged()
    assert line["level"] == "ERROR"
    assert ERRORS[error][1] in line["error"]
    assert (line["code"], line["durationSeconds"]) == (1006, 90.5)


@pytest.mark.parametrize("function", EVENTS)
@pytest.mark.parametrize(
    ("variable", "value", "error"),
    [
        ("CONNECTIONS_TABLE", UNSET, "CONNECTIONS_TABLE is not set"),
        ("CONNECTIONS_TABLE", "", "CONNECTIONS_TABLE is ''"),
        ("TTL_HOURS", "a day", "TTL_HOURS is 'a day'; expected a number of hours from 3"),
        ("TTL_HOURS", "0", "TTL_HOURS is '0'"),
        ("TTL_HOURS", "-1", "TTL_HOURS is '-1'"),
        ("TTL_HOURS", "nan", "TTL_HOURS is 'nan'"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL is 'LOUD'; expected one of DEBUG, INFO"),
        ("AUTH_ISSUER", "issuer", "AUTH_ISSUER is 'issuer'; expected the HTTPS URL"),
        ("AUTH_ISSUER", "https://issuer.example.com", "AUTH_AUDIENCE is not set"),
        ("AUTH_AUDIENCE", "dashboard", "AUTH_ISSUER is not set"),
        ("ALLOWED_ORIGINS", "dashboard.example.com", "ALLOWED_ORIGINS is 'dashboard.example.com'"),
        ("MAX_CONNECTIONS_PER_CLIENT", "0", "MAX_CONNECTIONS_PER_CLIENT is '0'; expected a"),
    ],
)
def test_an_invalid_setting_is_logged_and_dynamodb_is_not_called(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, variable: str, value: str, error: str
) -> None:
    response = invoke(function, EVENTS[function](), **{variable: value})

    assert answer(response) == REFUSED
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["errorType"]) == ("ERROR", "SettingsError")
    assert line["error"].startswith(error)


@pytest.mark.parametrize("function", EVENTS)
@pytest.mark.parametrize("connection_id", ["", " ", None, 7])
def test_an_invalid_connection_id_is_a_bad_request(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, connection_id: Any
) -> None:
    status, body = answer(invoke(function, EVENTS[function](connection_id)))

    assert status == 400
    assert "expected a non-empty string" in body
    assert wire.calls == []
    assert [line["level"] for line in logged()] == ["ERROR"]


@pytest.mark.usefixtures("dynamodb")
def test_a_connection_costs_three_requests(invoke: Invoke, wire: Wire) -> None:
    invoke("connect", connect_event())
    assert wire.tries == ["PutItem", "GetItem"]

    invoke("disconnect", disconnect_event())
    assert wire.tries == ["PutItem", "GetItem", "DeleteItem"]


@pytest.mark.usefixtures("dynamodb")
def test_each_invocation_reads_the_settings_anew(invoke: Invoke, logged: Logged) -> None:
    invoke("connect", connect_event(), LOG_LEVEL="error")
    [counted] = logged()
    assert "row" not in counted

    invoke("connect", connect_event(), TTL_HOURS="1")
    [line] = logged()
    assert line["row"]["ttl"] - line["row"]["createdAt"] // 1000 == 3600


def test_a_dynamodb_that_never_answers_refuses_the_handshake_after_three_attempts(
    invoke: Invoke, wire: Wire, logged: Logged
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"

        response = invoke("connect", connect_event(), AWS_ENDPOINT_URL_DYNAMODB=endpoint)

    assert answer(response) == REFUSED
    assert wire.tries == ["PutItem"] * 3 + ["DeleteItem"]
    cleaned, line = logged()
    assert cleaned["message"] == "row of a refused handshake may remain until the sweep"
    assert "PutItem" in line["error"]
    assert "Timeout" in line["error"]
