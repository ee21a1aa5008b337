"""The two functions as API Gateway meets them, invoked through `chalice.test.Client`."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from chalicelib import store
from tests.conftest import TABLE, UNSET, Wire
from tests.support.events import CONNECTED_AT, CONNECTION_ID, connect_event, disconnect_event

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]

EVENTS: dict[str, Callable[..., dict[str, Any]]] = {
    "connect": connect_event,
    "disconnect": disconnect_event,
}
OK_CONNECT = (200, "connected")
OK_DISCONNECT = (200, "disconnected")
REFUSED = (500, "Internal server error")

ERRORS = {
    "throttled": (400, "ProvisionedThroughputExceededException"),
    "denied": (400, "AccessDeniedException"),
    "broken": (500, "InternalServerError"),
    "missing": (400, "ResourceNotFoundException"),
}


def rows(client: DynamoDBClient) -> list[dict[str, Any]]:
    """Give every row of the table, as DynamoDB's attribute values."""
    return list(client.scan(TableName=TABLE)["Items"])


def answer(response: dict[str, Any]) -> tuple[int, str]:
    """Give what API Gateway looks at."""
    return response["statusCode"], response["body"]


def test_connect_stores_the_contract_s_row(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """The row has exactly the agreed attributes, in ms and s, and the handshake is accepted.

    Without a setting and a parameter nobody is known, and the row stays out of the index.
    """
    before = time.time_ns() // 1_000_000

    response = invoke("connect", connect_event(), TTL_HOURS="2")

    after = time.time_ns() // 1_000_000
    assert answer(response) == OK_CONNECT
    [row] = rows(dynamodb)
    created_at = int(row["createdAt"]["N"])
    assert before <= created_at <= after
    assert row == {
        "connectionId": {"S": CONNECTION_ID},
        "createdAt": {"N": str(created_at)},
        "ttl": {"N": str(created_at // 1000 + 7200)},
        "clientId": {"S": "unknown"},
        "connectedAt": {"N": str(CONNECTED_AT)},
        "sourceIp": {"S": "203.0.113.7"},
        "userAgent": {"S": "Mozilla/5.0"},
        "region": {"S": "eu-west-1"},
        "apiId": {"S": "abcdef1234"},
        "stage": {"S": "dev"},
        "domainName": {"S": "abcdef1234.execute-api.eu-west-1.amazonaws.com"},
    }


def test_a_row_lives_a_day_unless_set(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """`TTL_HOURS` is 24 by default."""
    invoke("connect", connect_event())

    [row] = rows(dynamodb)
    assert int(row["ttl"]["N"]) - int(row["createdAt"]["N"]) // 1000 == 86_400


def test_connect_logs_the_stored_row(
    dynamodb: DynamoDBClient, invoke: Invoke, logged: Logged
) -> None:
    """One JSON line says which function stored what for which connection."""
    invoke("connect", connect_event())

    [line] = logged()
    [row] = rows(dynamodb)
    assert line["level"] == "INFO"
    assert line["message"] == "connected"
    assert line["function"] == "connect"
    assert len(line["requestId"]) == 36
    assert line["connectionId"] == CONNECTION_ID
    assert line["row"] == {
        "connectionId": CONNECTION_ID,
        "createdAt": int(row["createdAt"]["N"]),
        "ttl": int(row["ttl"]["N"]),
        "clientId": "unknown",
        "connectedAt": CONNECTED_AT,
        "sourceIp": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "region": "eu-west-1",
        "apiId": "abcdef1234",
        "stage": "dev",
        "domainName": "abcdef1234.execute-api.eu-west-1.amazonaws.com",
    }


def test_the_answers_have_no_headers(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """Nothing was asked for that an answer would have to select."""
    for function, event in (("connect", connect_event()), ("disconnect", disconnect_event())):
        response = invoke(function, event)

        assert response["headers"] == {}
        assert response["multiValueHeaders"] == {}
    assert rows(dynamodb) == []


def test_a_repeated_connect_leaves_one_row(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """A retry of the same `$connect` has the same result."""
    responses = [invoke("connect", connect_event()) for _ in range(2)]

    assert [answer(response) for response in responses] == [OK_CONNECT, OK_CONNECT]
    assert len(rows(dynamodb)) == 1


def test_disconnect_removes_that_row_only(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """The other connections stay tracked."""
    invoke("connect", connect_event("first="))
    invoke("connect", connect_event("second="))

    response = invoke("disconnect", disconnect_event("first="))

    assert answer(response) == OK_DISCONNECT
    assert [row["connectionId"]["S"] for row in rows(dynamodb)] == ["second="]


@pytest.mark.usefixtures("dynamodb")
def test_disconnect_logs_how_the_connection_ended(invoke: Invoke, logged: Logged) -> None:
    """The line has the close code, the reason and the seconds that the connection lasted."""
    invoke("connect", connect_event())
    logged()

    invoke("disconnect", disconnect_event(code=1001, reason="Going away", lasted_ms=90_500))

    [line] = logged()
    assert (line["level"], line["message"]) == ("INFO", "disconnected")
    assert (line["function"], line["connectionId"]) == ("disconnect", CONNECTION_ID)
    assert (line["code"], line["reason"]) == (1001, "Going away")
    assert line["durationSeconds"] == 90.5


@pytest.mark.usefixtures("dynamodb")
def test_the_duration_comes_from_the_row_when_the_event_has_none(
    invoke: Invoke, logged: Logged
) -> None:
    """Code, reason and times of the event may all be missing."""
    invoke("connect", connect_event())
    logged()
    event = disconnect_event(code=None, reason=None)
    del event["requestContext"]["connectedAt"]

    response = invoke("disconnect", event)

    [line] = logged()
    assert answer(response) == OK_DISCONNECT
    assert (line["code"], line["reason"]) == (None, None)
    assert 0 <= line["durationSeconds"] < 60


@pytest.mark.usefixtures("dynamodb")
def test_disconnect_of_an_unknown_connection_is_already_gone(
    invoke: Invoke, logged: Logged
) -> None:
    """A `$disconnect` that comes twice, or after the time to live, is no error."""
    response = invoke("disconnect", disconnect_event())

    assert answer(response) == OK_DISCONNECT
    assert [line["message"] for line in logged()] == ["already gone"]


def test_disconnect_removes_a_row_that_it_cannot_read(
    dynamodb: DynamoDBClient, invoke: Invoke, logged: Logged
) -> None:
    """A malformed row is removed all the same, with a warning that names what is wrong."""
    dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": CONNECTION_ID}})

    response = invoke("disconnect", disconnect_event())

    assert answer(response) == OK_DISCONNECT
    assert rows(dynamodb) == []
    [line] = logged()
    assert line["level"] == "WARNING"
    assert "'createdAt'" in line["error"]


@pytest.mark.parametrize("error", ERRORS)
def test_connect_is_refused_when_the_row_cannot_be_written(
    dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire, logged: Logged, error: str
) -> None:
    """No live connection is ever untracked: the handshake is refused, the log has the cause."""
    wire.errors["PutItem"] = ERRORS[error]

    response = invoke("connect", connect_event())

    assert answer(response) == REFUSED
    assert rows(dynamodb) == []
    uncertain = ERRORS[error][0] >= 500  # the row may have been written, so it is removed
    assert sorted(set(wire.calls)) == ["DeleteItem", "PutItem"][not uncertain :]
    [line] = logged()
    assert line["level"] == "ERROR"
    assert f"PutItem on table '{TABLE}' failed" in line["error"]
    assert ERRORS[error][1] in line["error"]


def test_connect_is_refused_when_the_table_is_missing(
    dynamodb: DynamoDBClient, invoke: Invoke, logged: Logged
) -> None:
    """DynamoDB itself says that there is no such table."""
    response = invoke("connect", connect_event(), CONNECTIONS_TABLE="Nowhere")

    assert answer(response) == REFUSED
    assert rows(dynamodb) == []
    [line] = logged()
    assert "PutItem on table 'Nowhere' failed: ResourceNotFoundException" in line["error"]


@pytest.mark.parametrize("error", ERRORS)
def test_connect_is_accepted_when_only_the_read_back_fails(
    dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire, logged: Logged, error: str
) -> None:
    """The row is stored, so the connection may open; a warning tells of the failure."""
    wire.errors["GetItem"] = ERRORS[error]

    response = invoke("connect", connect_event())

    assert answer(response) == OK_CONNECT
    assert len(rows(dynamodb)) == 1
    [line] = logged()
    assert line["level"] == "WARNING"
    assert ERRORS[error][1] in line["error"]
    assert line["row"]["connectionId"] == CONNECTION_ID


def _nothing(client: DynamoDBClient) -> None:
    client.delete_item(TableName=TABLE, Key={"connectionId": {"S": CONNECTION_ID}})


def _another(client: DynamoDBClient) -> None:
    row = {"connectionId": {"S": CONNECTION_ID}, "createdAt": {"N": "1731324924561"}}
    row["ttl"] = {"N": "2"}
    client.put_item(TableName=TABLE, Item=row)


def _malformed(client: DynamoDBClient) -> None:
    client.put_item(TableName=TABLE, Item={"connectionId": {"S": CONNECTION_ID}})


@pytest.mark.parametrize(
    ("meddle", "found"),
    [(_nothing, "no row"), (_another, "read {"), (_malformed, "attribute 'createdAt'")],
)
def test_connect_is_refused_when_the_row_read_back_is_not_the_one_written(
    dynamodb: DynamoDBClient,
    invoke: Invoke,
    wire: Wire,
    logged: Logged,
    meddle: Callable[[DynamoDBClient], None],
    found: str,
) -> None:
    """The verification is real: somebody else's change between write and read is seen."""

    def before_read(**_: object) -> None:
        meddle(dynamodb)

    store.dynamodb().meta.events.register_first("before-call.dynamodb.GetItem", before_read)

    response = invoke("connect", connect_event())

    assert answer(response) == REFUSED
    assert wire.calls == ["PutItem", "GetItem", "DeleteItem"]
    [line] = logged()
    assert line["level"] == "ERROR"
    assert found in line["error"]


@pytest.mark.parametrize("error", ERRORS)
def test_disconnect_that_cannot_delete_leaves_the_row_to_its_time_to_live(
    dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire, logged: Logged, error: str
) -> None:
    """The answer is an error, and the log still has how the connection ended."""
    invoke("connect", connect_event())
    logged()
    wire.errors["DeleteItem"] = ERRORS[error]

    response = invoke("disconnect", disconnect_event(code=1006, reason=None))

    assert answer(response) == REFUSED
    assert len(rows(dynamodb)) == 1
    [line] = logged()
    assert line["level"] == "ERROR"
    assert ERRORS[error][1] in line["error"]
    assert (line["code"], line["durationSeconds"]) == (1006, 90.5)


@pytest.mark.parametrize("function", ["connect", "disconnect"])
@pytest.mark.parametrize(
    ("variable", "value", "seen"),
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
def test_a_wrong_setting_is_named_and_nothing_is_done(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, variable: str, value: str, seen: str
) -> None:
    """The log says once which variable was wrong, what it held and what is accepted."""
    event = EVENTS[function]()

    response = invoke(function, event, **{variable: value})

    assert answer(response) == REFUSED
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["errorType"]) == ("ERROR", "SettingsError")
    assert line["error"].startswith(seen)


@pytest.mark.parametrize("function", ["connect", "disconnect"])
@pytest.mark.parametrize("connection_id", ["", " ", None, 7])
def test_an_unusable_connection_id_is_a_bad_request(
    invoke: Invoke, wire: Wire, logged: Logged, function: str, connection_id: Any
) -> None:
    """Nothing is written, and the body says what is accepted."""
    event = EVENTS[function](connection_id)

    response = invoke(function, event)

    assert response["statusCode"] == 400
    assert "expected a non-empty string" in response["body"]
    assert wire.calls == []
    assert [line["level"] for line in logged()] == ["ERROR"]


@pytest.mark.usefixtures("dynamodb")
def test_a_connection_costs_three_calls(invoke: Invoke, wire: Wire) -> None:
    """Connect is one PutItem and one GetItem, disconnect one DeleteItem, nothing else."""
    invoke("connect", connect_event())
    assert wire.tries == ["PutItem", "GetItem"]

    invoke("disconnect", disconnect_event())
    assert wire.tries == ["PutItem", "GetItem", "DeleteItem"]


@pytest.mark.usefixtures("dynamodb")
def test_settings_are_read_by_each_invocation(invoke: Invoke, logged: Logged) -> None:
    """A changed environment holds from the next invocation on, and so does the log level."""
    invoke("connect", connect_event(), LOG_LEVEL="error")
    [counted] = logged()
    assert "row" not in counted

    invoke("connect", connect_event(), TTL_HOURS="1")
    [line] = logged()
    assert line["row"]["ttl"] - line["row"]["createdAt"] // 1000 == 3600


def test_a_dead_endpoint_refuses_the_handshake_after_three_tries(
    invoke: Invoke, wire: Wire, logged: Logged
) -> None:
    """An endpoint that accepts and never answers is given up on, within the tries' own limits."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"

        response = invoke("connect", connect_event(), AWS_ENDPOINT_URL_DYNAMODB=endpoint)

    assert answer(response) == REFUSED
    assert wire.tries == ["PutItem"] * 3 + ["DeleteItem"]
    cleaned, line = logged()
    assert cleaned["message"] == "row of a refused handshake may remain until the sweep"
    assert "PutItem" in line["error"]
    assert "Timeout" in line["error"]
