"""What clients are answered."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.adapters import aws_clients as sdk
from chalicelib.claims import Claims
from chalicelib.domain.connection import UNKNOWN_CLIENT
from chalicelib.domain.requests import parse
from chalicelib.domain.unclaimed import Claim
from chalicelib.handlers.message import reply
from chalicelib.history import History
from chalicelib.services import recovery
from chalicelib.store import ConnectionStore
from tests.conftest import HISTORY, ROOT, TABLE, Wire
from tests.support.connections import NO_DEADLINE, now_ms, tracked
from tests.support.events import CONNECTION_ID, connect_event
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]

NOW_MS = 1731324924561
ENVELOPE = '{"type":"notification"}'


def message_event(body: str | None) -> dict[str, Any]:
    """Return the event of a message; API Gateway leaves an empty body out."""
    event = connect_event()
    context = {"routeKey": "$default", "eventType": "MESSAGE", "messageId": "NcWzvdQ2oAMCIhw="}
    return {
        "requestContext": event["requestContext"] | context,
        "isBase64Encoded": False,
        **({} if body is None else {"body": body}),
    }


@pytest.fixture
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that asks for any client or credentials of AWS."""

    def refuse() -> None:
        raise AssertionError("a service of AWS was asked for")

    monkeypatch.setattr(sdk, "session", refuse)


def send(body: str | None) -> dict[str, Any]:
    """Send a message and give what the client receives."""
    response = app.message(message_event(body), Context())
    assert response["statusCode"] == 200
    answer: dict[str, Any] = json.loads(response["body"])
    return answer


@pytest.mark.usefixtures("_no_services")
def test_a_ping_is_answered_with_the_time() -> None:
    """It keeps a connection from idling out, and neither reads nor writes anything."""
    before = time.time_ns() // 1_000_000

    answer = send('{"action": "ping"}')

    assert answer.keys() == {"type", "at"}
    assert answer["type"] == "pong"
    assert before <= answer["at"] <= time.time_ns() // 1_000_000


@pytest.mark.usefixtures("_no_services")
@pytest.mark.parametrize("body", [None, "", "hello", '{"action": "shout"}'])
def test_anything_else_is_told_what_is_accepted(body: str | None) -> None:
    """Neither reads nor writes anything either."""
    answer = send(body)

    assert answer["type"] == "error"
    assert answer["message"].endswith('; send {"action": "ping"}')


def replied(body: str) -> dict[str, Any]:
    """Return the answer that needs no read."""
    answer: dict[str, Any] = json.loads(reply(parse(body), NOW_MS))
    return answer


def test_the_settings_are_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting elsewhere does not make connections idle out."""
    monkeypatch.setenv("TTL_HOURS", "many")

    assert send('{"action": "ping"}')["type"] == "pong"


@pytest.mark.parametrize("body", ['{"action": "ping"}', ' {"action":"ping", "id": 7}\n'])
def test_more_fields_and_spaces_are_accepted(body: str) -> None:
    """A later client may say more."""
    assert replied(body) == {"type": "pong", "at": NOW_MS}


@pytest.mark.parametrize(
    "body",
    [
        "ping",
        '"ping"',
        "null",
        "[]",
        '["action", "ping"]',
        "{}",
        '{"action": "Ping"}',
        '{"action": ["ping"]}',
        '{"action": "ping"',
        '{"Action": "ping"}',
        "9" * 5000,
        "[" * 32_000,
    ],
)
def test_what_is_no_ping_is_an_error_that_shows_its_beginning(body: str) -> None:
    """However long, and however deeply nested."""
    answer = replied(body)

    assert answer["type"] == "error"
    assert answer["message"].startswith(f"unknown message {repr(body[:100])[:-1]}")
    assert len(answer["message"]) < 200


@given(st.text())
def test_any_text_has_an_answer(body: str) -> None:
    """No message makes the function fail."""
    assert replied(body)["type"] in {"pong", "error"}


# The history


@pytest.fixture
def log(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> History:
    """Return an empty history that the function uses."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    monkeypatch.setenv("HISTORY_TABLE", HISTORY)
    monkeypatch.setenv("RECOVER_OWN", "always")
    monkeypatch.setattr(recovery, "_remembered", {})
    return History(dynamodb, HISTORY, NO_DEADLINE)


def connected(log: History, client_id: str | None = "ada") -> None:
    """Put the row of the connection that sends the messages."""
    row = tracked(CONNECTION_ID, client_id=client_id or UNKNOWN_CLIENT)
    ConnectionStore(log.client, TABLE, NO_DEADLINE).put(row)


def claimed(log: History, *numbers: int) -> list[Claim | None]:
    """Return the claims of entries of the client ada."""
    claims = Claims(log, 3600)
    return [claims.find({"ada": number}).get("ada") for number in numbers]


def ask(action: str, **fields: Any) -> dict[str, Any]:
    """Send a request and give the answer."""
    return send(json.dumps({"action": action, **fields}))


def test_a_client_recovers_what_it_has_missed(log: History, logged: Logged) -> None:
    """And the function logs and counts how many notifications that were."""
    connected(log)
    first, _ = log.append("all", "a", '{"type":"notification","message":1}', 3600)
    own, _ = log.append("c#ada", "b", '{"type":"notification","message":2}', 3600)

    answer = ask("recover", after={"all": 0, "own": {"seq": 0, "of": "ada"}}, n=3)

    assert [each["message"] for each in answer["notifications"]] == [2, 1]
    assert answer["n"] == 3
    assert answer["position"] == {"all": first.seq, "own": {"seq": own.seq, "of": "ada"}}
    [line] = logged()
    assert (line["message"], line["clientId"], line["Recovered"]) == ("recovered", "ada", 2)


@pytest.mark.parametrize(
    ("client_id", "calls"), [("ada", ["GetItem"] * 3), (None, ["GetItem"] * 2)]
)
def test_nothing_new_costs_three_read_units_and_two_for_an_anonymous_client(
    log: History, wire: Wire, logged: Logged, client_id: str | None, calls: list[str]
) -> None:
    """A consistent read of a row under 4 KB costs one. Nothing is logged."""
    connected(log, client_id)

    answer = ask("recover", after={"all": 0})

    assert answer["notifications"] == []
    assert wire.calls == calls
    assert logged() == []


def test_a_ping_for_heads_costs_one_read_unit(log: History, wire: Wire) -> None:
    """Half for the row, half for the own head; the head of `all` is remembered."""
    connected(log)
    ask("ping", heads=True)
    wire.calls.clear()

    answer = ask("ping", heads=True, n=4)

    at = answer.pop("at")
    assert abs(at - now_ms()) < 60_000
    assert answer == {"type": "pong", "n": 4, "heads": {"all": 0, "own": 0}}
    assert wire.calls == ["GetItem", "GetItem"]


@pytest.mark.parametrize(
    "request_", [("recover", {}), ("ping", {"heads": True}), ("received", {"seq": 1})]
)
@pytest.mark.parametrize("is_malformed", [True, False])
def test_a_connection_without_a_row_is_told_so(
    log: History, request_: tuple[str, dict[str, Any]], *, is_malformed: bool
) -> None:
    """No notification reaches it."""
    if is_malformed:
        log.client.put_item(TableName=TABLE, Item={"connectionId": {"S": CONNECTION_ID}})
    action, fields = request_

    assert ask(action, **fields) == {
        "type": "goodbye",
        "reason": "unknown",
        "message": None,
        "reconnect": True,
        "afterSeconds": 0,
    }


def test_what_is_recovered_is_claimed_before_the_answer(
    log: History, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One write unit for each of the client's own notifications of the last hour."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Q")
    connected(log)
    log.append("all", "a", ENVELOPE, 3600)
    own = [log.append("c#ada", name, ENVELOPE, 3600)[0].seq for name in "bc"]

    ask("recover", after={"all": 0, "own": {"seq": 0, "of": "ada"}})

    assert claimed(log, *own) == [Claim(is_received=False)] * 2
    assert wire.calls.count("PutItem") == 2


@pytest.mark.parametrize(
    ("environ", "client_id"),
    [({"UNCLAIMED_QUEUE": ""}, "ada"), ({"RECOVER_OWN": "authenticated"}, "ada"), ({}, None)],
)
def test_nothing_is_claimed_that_nobody_watches(
    log: History,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    client_id: str | None,
) -> None:
    """Without a queue, without own streams, and by anonymous clients."""
    for name, value in {"UNCLAIMED_QUEUE": "Q", **environ}.items():
        monkeypatch.setenv(name, value)
    connected(log, client_id)
    log.append("all", "a", ENVELOPE, 3600)
    log.append("c#ada", "b", ENVELOPE, 3600)

    answer = ask("recover", after={"all": 0, "own": {"seq": 0, "of": "ada"}})

    assert answer["type"] == "recovered"
    assert "PutItem" not in wire.calls


def test_an_acknowledgement_is_a_claim(log: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered with a pong, and stays when the client recovers the notification again."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Q")
    connected(log)
    place, _ = log.append("c#ada", "a", ENVELOPE, 3600)

    answer = ask("received", seq=place.seq, n=8)
    ask("recover", after={"own": {"seq": 0, "of": "ada"}})

    assert answer.pop("at") <= now_ms()
    assert answer == {"type": "pong", "n": 8}
    assert claimed(log, place.seq) == [Claim(is_received=True)]


def test_an_acknowledgement_is_a_claim_however_late(
    log: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody waits again for a notification that was dead-lettered and is sent again."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Q")
    connected(log)
    with monkeypatch.context() as earlier:
        earlier.setattr("chalicelib.history.now_ms", lambda: now_ms() - 7_200_000)
        place, _ = log.append("c#ada", "a", ENVELOPE, 86_400)

    ask("received", seq=place.seq)

    assert claimed(log, place.seq) == [Claim(is_received=True)]


def test_an_acknowledgement_that_nobody_waits_for_writes_nothing(log: History, wire: Wire) -> None:
    """Without a queue."""
    connected(log)
    place, _ = log.append("c#ada", "a", ENVELOPE, 3600)

    assert ask("received", seq=place.seq)["type"] == "pong"
    assert "PutItem" not in wire.calls


@pytest.mark.parametrize("client_id", ["ada", None])
def test_only_the_clients_own_notification_can_be_acknowledged(
    log: History, wire: Wire, monkeypatch: pytest.MonkeyPatch, client_id: str | None
) -> None:
    """Nobody silences the alarm of another by its number."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Q")
    connected(log, client_id)
    place, _ = log.append("c#bob", "a", ENVELOPE, 3600)

    answer = ask("received", seq=place.seq, n=8)

    assert (answer["code"], answer["n"]) == ("bad_request", 8)
    expected = "the number of a notification for this client alone"
    assert answer["message"] == f"seq is {place.seq}; expected {expected}"
    assert "PutItem" not in wire.calls


@pytest.mark.parametrize("action", ["recover", "received"])
def test_a_claim_that_cannot_be_written_is_asked_for_again(
    log: History, wire: Wire, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """What was handed out without a claim would be announced as unclaimed."""
    monkeypatch.setenv("UNCLAIMED_QUEUE", "Q")
    connected(log)
    place, _ = log.append("c#ada", "a", ENVELOPE, 3600)
    wire.errors["PutItem"] = (400, "AccessDeniedException")

    answer = ask(action, n=6, after={"own": {"seq": 0, "of": "ada"}}, seq=place.seq)

    assert (answer["type"], answer["code"], answer["n"]) == ("error", "try_again", 6)


def test_a_row_that_an_eventual_read_misses_is_read_again(
    log: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may ping right after its handshake."""
    connected(log)
    get = ConnectionStore.get

    def late(self: ConnectionStore, connection_id: str, *, consistent: bool = True) -> Any:
        return get(self, connection_id) if consistent else None

    monkeypatch.setattr(ConnectionStore, "get", late)

    assert ask("ping", heads=True)["type"] == "pong"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"after": {"all": -1}, "n": 5}, "after.all is -1; expected an integer from 0 to"),
        ({"after": "x", "n": 5}, "after is 'x'; expected null or a position"),
        ({"last": 51, "n": 5}, "last is 51; expected an integer from 0 to 50"),
    ],
)
def test_an_invalid_request_reads_nothing(
    log: History, wire: Wire, fields: dict[str, Any], message: str
) -> None:
    del log

    answer = ask("recover", **fields)

    assert (answer["type"], answer["code"], answer["n"]) == ("error", "bad_request", 5)
    assert answer["message"].startswith(message)
    assert wire.calls == []


@pytest.mark.parametrize(
    "environ",
    [
        {"HISTORY_HOURS": "never"},
        {"HISTORY_TABLE": "Missing"},
        {"CONNECTIONS_TABLE": "Missing"},
    ],
)
@pytest.mark.parametrize("request_", [("recover", {}), ("ping", {"heads": True})])
def test_a_failure_asks_the_client_to_try_again(
    log: History,
    logged: Logged,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    request_: tuple[str, dict[str, Any]],
) -> None:
    """On the same connection; the log has the cause."""
    connected(log)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    action, fields = request_

    answer = ask(action, n=6, **fields)

    assert (answer["type"], answer["code"], answer["n"]) == ("error", "try_again", 6)
    [line] = logged()
    assert (line["level"], line["message"], line["Failures"]) == ("ERROR", "message failed", 1)


def test_without_a_history_requests_are_answered_as_before(
    dynamodb: DynamoDBClient, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sees that there is none: a pong without heads, and an error."""
    del dynamodb
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)

    assert ask("ping", heads=True, n=1).keys() == {"type", "at"}
    assert ask("recover", n=1)["code"] == "bad_request"
    assert wire.calls == []


@pytest.mark.parametrize("action", ["connect", "disconnect"])
def test_a_handshake_does_not_import_the_history(action: str) -> None:
    """It would cost each cold start; the function `message` imports it when it is asked."""
    code = (
        "import sys, app\n"
        f"from chalicelib.handlers import {action}\n"
        "found = [name for name in sys.modules if name.startswith('chalicelib.')"
        " and name.endswith(('history', 'recovery', 'recording', 'requests', 'claims',"
        " 'claiming'))]\n"
        "assert not found, found"
    )
    environ = {**os.environ, "AWS_DEFAULT_REGION": "eu-west-1"}

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ, check=True)
