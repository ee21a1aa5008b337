"""The message `authenticate`: a client goes on with a new token. And what expired ones are told."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.domain.connection import Connection
from chalicelib.services import recovery
from chalicelib.store import ConnectionStore
from tests.chalicelib.handlers.test_message import message_event
from tests.conftest import HISTORY, TABLE, UNSET, Wire
from tests.support.connections import NO_DEADLINE, tracked
from tests.support.embedded_metrics import assert_counts
from tests.support.events import CONNECTION_ID
from tests.support.issuer import AUDIENCE, Issuer, rsa_key
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]
Put = Callable[..., Connection]
SOON = 4_102_444_800  # the year 2100
UNKNOWN, EXPIRED = (
    {
        "type": "goodbye",
        "reason": reason,
        "message": message,
        "reconnect": True,
        "afterSeconds": 0,
    }
    for reason, message in (("unknown", None), ("expired", "the token has expired"))
)


@pytest.fixture
def put(dynamodb: DynamoDBClient, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return a function that puts the row of the connection that sends the messages."""
    for name, value in {
        "CONNECTIONS_TABLE": TABLE,
        "HISTORY_TABLE": HISTORY,
        "AUTH_ISSUER": issuer.url,
        "AUTH_AUDIENCE": AUDIENCE,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(recovery, "_remembered", {})

    def put(**attributes: Any) -> Connection:
        known = {"client_id": "alice", "expires_at": SOON - 3000, **attributes}
        row = tracked(CONNECTION_ID, **known)
        ConnectionStore(dynamodb, TABLE, NO_DEADLINE).put(row)
        return row

    return put


@pytest.fixture
def secrets(logged: Logged) -> Iterator[list[str]]:
    """Return a list for tokens, none of which is in any log line in the end."""
    sent: list[str] = []
    yield sent
    lines = json.dumps(logged())
    assert [token for token in sent if token and token in lines] == []


def send(**fields: Any) -> dict[str, Any]:
    response = app.message(message_event(json.dumps(fields)), Context())
    assert response["statusCode"] == 200
    answer: dict[str, Any] = json.loads(response["body"])
    return answer


def authenticate(token: object, **fields: Any) -> dict[str, Any]:
    return send(action="authenticate", token=token, **fields)


def stored(dynamodb: DynamoDBClient) -> dict[str, Any]:
    """Return the row of the connection."""
    key: Any = {"connectionId": {"S": CONNECTION_ID}}
    return dict(dynamodb.get_item(TableName=TABLE, Key=key)["Item"])


@pytest.mark.parametrize("expires_at", [SOON - 3000, 1, None])
@pytest.mark.parametrize("numbered", [{}, {"n": 7}])
def test_a_connection_goes_on_until_the_new_token_expires(
    dynamodb: DynamoDBClient,
    put: Put,
    wire: Wire,
    issuer: Issuer,
    logged: Logged,
    expires_at: int | None,
    numbered: dict[str, int],
) -> None:
    """Also one that has expired or had no expiry. It costs a read and a write, and no log line."""
    row = put(expires_at=expires_at)

    answer = authenticate(issuer.token(exp=SOON), **numbered)

    assert answer == {"type": "authenticated", "expiresAt": SOON, **numbered}
    assert wire.tries == ["GetItem", "UpdateItem"]
    assert logged() == []
    changed = stored(dynamodb)
    assert changed.pop("expiresAt") == {"N": str(SOON)}
    assert changed["createdAt"] == {"N": str(row.created_at)}


def test_a_connection_that_outlives_its_token_is_told_the_expiry_and_keeps_its_row(
    dynamodb: DynamoDBClient, put: Put, wire: Wire, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients renew all the same. It costs one read."""
    monkeypatch.setenv("TOKEN_EXPIRY", "ignore")
    put(expires_at=None)

    assert authenticate(issuer.token(exp=SOON))["expiresAt"] == SOON
    assert wire.tries == ["GetItem"]
    assert "expiresAt" not in stored(dynamodb)


def test_a_connection_that_was_to_expire_is_renewed_under_ignore(
    dynamodb: DynamoDBClient, put: Put, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep would close it otherwise: it goes by the row."""
    monkeypatch.setenv("TOKEN_EXPIRY", "ignore")
    put()

    authenticate(issuer.token(exp=SOON))

    assert stored(dynamodb)["expiresAt"] == {"N": str(SOON)}


@pytest.mark.parametrize(
    ("token", "seen"),
    [
        (None, "token is None"),
        ("", "token is ''"),
        (7, "token is 7"),
        (["a"], "token is ['a']"),
    ],
)
def test_a_token_that_is_none_is_told_what_is_expected(
    put: Put, wire: Wire, token: object, seen: str
) -> None:
    put()

    answer = authenticate(token, n=3)

    assert (answer["type"], answer["code"], answer["n"]) == ("error", "bad_request", 3)
    assert answer["message"] == f"{seen}; expected a JSON Web Token"
    assert wire.calls == []


def test_a_request_number_that_is_none_is_refused(put: Put, wire: Wire, issuer: Issuer) -> None:
    put()

    answer = authenticate(issuer.token(), n="first")

    assert answer["code"] == "bad_request"
    assert answer["message"].startswith("n is 'first'; expected an integer")
    assert wire.calls == []


def test_without_tokens_a_token_means_nothing(
    put: Put, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    put()
    for name in ("AUTH_ISSUER", "AUTH_AUDIENCE"):
        monkeypatch.delenv(name)

    answer = authenticate("any", n=3)

    assert (answer["code"], answer["n"]) == ("bad_request", 3)
    assert answer["message"] == "this API takes no tokens"
    assert wire.calls == []


@pytest.mark.parametrize(
    ("changed", "code", "detail"),
    [
        ({"exp": 1}, "bad_token", "invalid token: ExpiredSignatureError"),
        ({"aud": "other"}, "bad_token", "invalid token: InvalidAudienceError"),
        ({"sub": "bob"}, "other_client", "the subject is 'bob'"),
    ],
)
def test_a_token_that_does_not_fit_is_refused_and_only_the_log_says_why(
    dynamodb: DynamoDBClient,
    put: Put,
    issuer: Issuer,
    logged: Logged,
    changed: dict[str, Any],
    code: str,
    detail: str,
) -> None:
    """The connection keeps the expiry that it has."""
    put()
    token = issuer.token(**changed)

    answer = authenticate(token, n=3)

    assert (answer["type"], answer["code"], answer["n"]) == ("error", code, 3)
    assert detail not in answer["message"]
    [line] = logged()
    assert (line["level"], line["message"]) == ("WARNING", "token refused")
    assert (line["code"], line["detail"]) == (code, detail)
    assert token not in json.dumps(line)
    assert stored(dynamodb)["expiresAt"] == {"N": str(SOON - 3000)}


def test_a_forged_token_costs_no_call(put: Put, wire: Wire, issuer: Issuer) -> None:
    put()
    forged = issuer.token(rsa_key("thief"))

    assert authenticate(forged)["code"] == "bad_token"
    assert wire.calls == []


def test_keys_that_cannot_be_had_are_told(put: Put, issuer: Issuer, logged: Logged) -> None:
    put()
    issuer.status = 500

    assert authenticate(issuer.token(), n=3)["code"] == "no_keys"
    [line] = logged()
    assert (line["message"], line["code"]) == ("token refused", "no_keys")


@pytest.mark.parametrize(
    ("setting", "value"),
    [("CONNECTIONS_TABLE", "Missing"), ("CONNECTIONS_TABLE", UNSET), ("TTL_HOURS", "many")],
)
def test_a_failure_asks_the_client_to_try_again(
    put: Put,
    issuer: Issuer,
    logged: Logged,
    secrets: list[str],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: str,
) -> None:
    """The log has the cause, and counts a failure of ours."""
    put()
    monkeypatch.setenv(setting, value)
    if value == UNSET:
        monkeypatch.delenv(setting)
    secrets.append(issuer.token())

    answer = authenticate(secrets[0], n=3)

    assert (answer["code"], answer["n"]) == ("try_again", 3)
    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "message failed")
    assert assert_counts(line) == {"Failures": (1, "Count")}


@pytest.mark.parametrize("is_malformed", [True, False])
def test_a_connection_without_a_row_is_told_so(
    dynamodb: DynamoDBClient, put: Put, issuer: Issuer, *, is_malformed: bool
) -> None:
    del put
    if is_malformed:
        dynamodb.put_item(TableName=TABLE, Item={"connectionId": {"S": CONNECTION_ID}})

    assert authenticate(issuer.token()) == UNKNOWN


@pytest.mark.parametrize(
    ("closing", "answered"),
    [("expired", "goodbye"), ("kicked", "authenticated"), ("replaced", "authenticated")],
)
def test_a_connection_that_is_being_closed_as_expired_does_not_go_on(
    put: Put, issuer: Issuer, closing: str, answered: str
) -> None:
    """It would be closed although it was told that it goes on. A kick happens all the same."""
    put(closing=closing, closing_at=1)

    answer = authenticate(issuer.token())

    assert answer["type"] == answered
    assert answer.get("reason") == ("expired" if closing == "expired" else None)


# What an expired connection is told


@pytest.mark.parametrize("request_", [{"action": "recover"}, {"action": "ping", "heads": True}])
@pytest.mark.parametrize(
    ("expires_at", "answered"), [(1, "goodbye"), (SOON, "answer"), (None, "answer")]
)
def test_an_expired_connection_reads_nothing_and_is_told_to_come_back(
    put: Put, wire: Wire, request_: dict[str, Any], expires_at: int | None, answered: str
) -> None:
    put(expires_at=expires_at)
    wire.calls.clear()

    answer = send(**request_)

    if answered == "goodbye":
        assert answer == EXPIRED
        assert set(wire.calls) == {"GetItem"}
    else:
        assert answer["type"] in ("recovered", "pong")


@pytest.mark.parametrize("request_", [{"action": "recover"}, {"action": "ping", "heads": True}])
def test_the_second_in_which_the_token_expires_is_too_late(
    put: Put, monkeypatch: pytest.MonkeyPatch, request_: dict[str, Any]
) -> None:
    put(expires_at=SOON)

    for now_ns, answered in (
        (SOON * 10**9 - 1, ("recovered", "pong")),
        (SOON * 10**9, ("goodbye",)),
    ):
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        assert send(**request_)["type"] in answered


def test_a_renewal_that_an_eventual_read_misses_counts(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ping right after a renewal may read the row as it was before."""
    row = put(expires_at=SOON)
    old = Connection(**vars(row) | {"expires_at": 1})
    get = ConnectionStore.get

    def late(self: ConnectionStore, connection_id: str, *, consistent: bool = True) -> Any:
        return get(self, connection_id) if consistent else old

    monkeypatch.setattr(ConnectionStore, "get", late)

    assert send(action="ping", heads=True)["type"] == "pong"


def test_a_plain_ping_reads_nothing_also_of_an_expired_connection(put: Put, wire: Wire) -> None:
    """It keeps the connection open until the sweep closes it."""
    put(expires_at=1)

    assert send(action="ping")["type"] == "pong"
    assert wire.calls == []
