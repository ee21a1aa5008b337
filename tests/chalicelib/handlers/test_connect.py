"""How a connection opens: as whom, or why it does not."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from tests.conftest import ROOT, TABLE, Wire
from tests.support.embedded_metrics import assert_counts
from tests.support.events import CONNECTION_ID, connect_event
from tests.support.issuer import AUDIENCE, Issuer, rsa_key, signed

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]

PLACES = {
    "header": lambda token: connect_event(headers={"Authorization": [f"Bearer {token}"]}),
    "subprotocol": lambda token: connect_event(
        headers={"Sec-WebSocket-Protocol": [f"bearer, {token}"]}
    ),
    "parameter": lambda token: connect_event(query={"token": [token]}),
}


def rows(client: DynamoDBClient) -> list[dict[str, Any]]:
    """Return every row of the table."""
    return list(client.scan(TableName=TABLE)["Items"])


def authentication(issuer: Issuer) -> dict[str, str]:
    """Return the settings that ask for the issuer's tokens."""
    return {"AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}


def test_a_client_id_is_stored(dynamodb: DynamoDBClient, invoke: Invoke, wire: Wire) -> None:
    """At the same cost, and with its key in the index."""
    response = invoke("connect", connect_event(query={"clientId": ["dashboard:7"]}))

    assert (response["statusCode"], response["body"]) == (200, "connected")
    [row] = rows(dynamodb)
    assert row["clientId"] == row["knownClientId"] == {"S": "dashboard:7"}
    assert wire.tries == ["PutItem", "GetItem"]


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("event", "environment", "status", "reason"),
    [
        (connect_event(query={"clientId": [""]}), {}, 400, "client_id"),
        (connect_event(query={"clientId": ["a", "b"]}), {}, 400, "client_id"),
        (connect_event(), {"ALLOWED_ORIGINS": "https://other.example.com"}, 403, "origin"),
    ],
)
def test_a_refusal_is_answered_logged_and_counted(
    invoke: Invoke,
    wire: Wire,
    logged: Logged,
    event: dict[str, Any],
    environment: dict[str, str],
    status: int,
    reason: str,
) -> None:
    """And nothing is written, nor read."""
    response = invoke("connect", event, **environment)

    assert response["statusCode"] == status
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["message"]) == ("WARNING", "refused")
    assert (line["status"], line["connectionId"]) == (status, CONNECTION_ID)
    assert line["detail"]
    assert line["cause"] == reason
    assert assert_counts(line) == {"Refused": (1, "Count")}


def test_an_allowed_origin_connects(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """As one of a list."""
    origins = "http://localhost:3000, https://dashboard.example.com"

    assert invoke("connect", connect_event(), ALLOWED_ORIGINS=origins)["statusCode"] == 200
    assert len(rows(dynamodb)) == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_good_token_opens_as_its_subject(
    dynamodb: DynamoDBClient,
    invoke: Invoke,
    wire: Wire,
    logged: Logged,
    issuer: Issuer,
    place: str,
) -> None:
    """From each place; the token is in no row, line or header, and the cost stays the same."""
    token = issuer.token(sub="alice", exp=4_102_444_800)

    response = invoke("connect", PLACES[place](token), **authentication(issuer))

    assert (response["statusCode"], response["body"]) == (200, "connected")
    selected = {"Sec-WebSocket-Protocol": "bearer"} if place == "subprotocol" else {}
    assert response["headers"] == selected
    [row] = rows(dynamodb)
    assert row["clientId"] == {"S": "alice"}
    assert row["expiresAt"] == {"N": "4102444800"}
    assert wire.tries == ["PutItem", "GetItem"]
    assert_never_told(token, json.dumps([rows(dynamodb), logged(), response]))


def assert_never_told(token: str, text: str) -> None:
    """Look for a token, and for the parts of it that make it valuable."""
    for part in (token, *token.split(".")[1:]):
        assert not part or part not in text


def test_a_connection_that_outlives_its_token_has_no_expiry(
    dynamodb: DynamoDBClient, invoke: Invoke, issuer: Issuer
) -> None:
    event = PLACES["header"](issuer.token())

    response = invoke("connect", event, TOKEN_EXPIRY="ignore", **authentication(issuer))

    assert response["statusCode"] == 200
    [row] = rows(dynamodb)
    assert "expiresAt" not in row


def test_the_search_for_a_token_finds_one(issuer: Issuer) -> None:
    """Or the tests that it never shows would show nothing."""
    token = issuer.token()
    for leak in (token, token.split(".")[2], f"token={token}&"):
        with pytest.raises(AssertionError):
            assert_never_told(token, json.dumps({"error": leak}))


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("make", "check"),
    [
        (lambda issuer: issuer.token(exp=1), "ExpiredSignatureError"),
        (lambda issuer: issuer.token(aud="other"), "InvalidAudienceError"),
        (lambda issuer: issuer.token(iss="https://evil.example"), "InvalidIssuerError"),
        (lambda issuer: issuer.token(rsa_key("rsa-2")), "unknown key id"),
        (lambda issuer: issuer.token()[:-8] + "AAAAAAAA", "InvalidSignatureError"),
        (lambda issuer: issuer.token(sub="a" * 129), "subject (sub) is longer than 128 bytes"),
    ],
)
def test_a_bad_token_is_refused_and_only_the_log_says_why(
    invoke: Invoke,
    wire: Wire,
    capsys: pytest.CaptureFixture[str],
    issuer: Issuer,
    place: str,
    make: Callable[[Issuer], str],
    check: str,
) -> None:
    """The client is told nothing that it could try again with; nobody is told the token."""
    token = make(issuer)

    response = invoke("connect", PLACES[place](token), **authentication(issuer))

    assert (response["statusCode"], response["body"]) == (401, "Unauthorized")
    assert response["headers"] == {}
    assert wire.calls == []
    output = capsys.readouterr()
    line = json.loads(output.out)
    assert check in line["detail"]
    assert line["cause"] == "bad_token"
    assert assert_counts(line) == {"Refused": (1, "Count")}
    assert_never_told(token, output.out + output.err + json.dumps(response))


def test_no_token_is_refused(
    dynamodb: DynamoDBClient, invoke: Invoke, logged: Logged, issuer: Issuer
) -> None:
    """A clientId does not help; the issuer is not asked for anything."""
    event = connect_event(query={"clientId": ["alice"]})

    response = invoke("connect", event, **authentication(issuer))

    assert (response["statusCode"], response["body"]) == (401, "Unauthorized")
    assert rows(dynamodb) == []
    assert [line["cause"] for line in logged()] == ["no_token"]
    assert issuer.asked == []


@pytest.mark.parametrize(("client_id", "status"), [("alice", 200), ("bob", 403), ("a b", 400)])
def test_a_client_id_has_to_be_the_subject(
    dynamodb: DynamoDBClient,
    invoke: Invoke,
    logged: Logged,
    issuer: Issuer,
    client_id: str,
    status: int,
) -> None:
    """The token stays out of the log of this refusal too."""
    token = issuer.token(sub="alice")
    event = connect_event(query={"token": [token], "clientId": [client_id]})

    response = invoke("connect", event, **authentication(issuer))

    assert response["statusCode"] == status
    assert len(rows(dynamodb)) == (status == 200)
    assert_never_told(token, json.dumps([logged(), rows(dynamodb), response]))


def test_a_token_in_the_wrong_parameter_is_not_logged(
    invoke: Invoke, wire: Wire, logged: Logged, issuer: Issuer
) -> None:
    """It is refused as a clientId, and the log shows no more of it than its beginning."""
    token = issuer.token()

    response = invoke("connect", connect_event(query={"clientId": [token]}))

    assert response["statusCode"] == 400
    assert wire.calls == []
    assert_never_told(token, json.dumps([logged(), response]))


def test_keys_that_cannot_be_had_make_the_service_unavailable(
    dynamodb: DynamoDBClient, invoke: Invoke, logged: Logged, issuer: Issuer
) -> None:
    """The log has the address and the cause; the next handshake tries again."""
    issuer.status = 500
    token = issuer.token()
    event = connect_event(query={"token": [token]})

    response = invoke("connect", event, **authentication(issuer))

    assert (response["statusCode"], response["body"]) == (503, "Service unavailable")
    assert rows(dynamodb) == []
    [line] = logged()
    assert (line["cause"], line["status"]) == ("no_keys", 503)
    assert issuer.keys_url in line["detail"]
    assert "500" in line["detail"]
    assert_never_told(token, json.dumps([line, response]))

    issuer.status = 200
    assert invoke("connect", event, **authentication(issuer))["statusCode"] == 200


def test_the_keys_may_be_elsewhere(
    dynamodb: DynamoDBClient, invoke: Invoke, issuer: Issuer
) -> None:
    """`AUTH_JWKS_URL` says where."""
    token = signed(issuer.claims(iss="https://issuer.example.com"), rsa_key())
    environment = {
        "AUTH_ISSUER": "https://issuer.example.com",
        "AUTH_AUDIENCE": AUDIENCE,
        "AUTH_JWKS_URL": f"{issuer.url}/elsewhere",
    }

    response = invoke("connect", connect_event(query={"token": [token]}), **environment)

    assert response["statusCode"] == 200
    assert issuer.asked == ["/elsewhere"]
    assert len(rows(dynamodb)) == 1


@pytest.mark.usefixtures("dynamodb")
def test_keys_are_kept_between_invocations(invoke: Invoke, issuer: Issuer) -> None:
    """They are fetched once per execution environment."""
    for place in PLACES:
        invoke("connect", PLACES[place](issuer.token()), **authentication(issuer))

    assert len(issuer.asked) == 1


@pytest.mark.usefixtures("dynamodb")
def test_a_store_that_fails_does_not_tell_the_token(
    invoke: Invoke, wire: Wire, capsys: pytest.CaptureFixture[str], issuer: Issuer
) -> None:
    """Nor do the errors that come after it was accepted."""
    wire.errors["PutItem"] = (400, "AccessDeniedException")
    token = issuer.token()

    response = invoke("connect", PLACES["parameter"](token), **authentication(issuer))

    assert response["statusCode"] == 500
    output = capsys.readouterr()
    assert "AccessDeniedException" in output.out
    assert_never_told(token, output.out + output.err + json.dumps(response))


@pytest.mark.usefixtures("dynamodb")
def test_an_opened_connection_is_counted(invoke: Invoke, wire: Wire, logged: Logged) -> None:
    """Also one whose row could not be read back, which is counted on its own as well."""
    invoke("connect", connect_event())
    wire.errors["GetItem"] = (400, "AccessDeniedException")
    invoke("connect", connect_event())

    verified, unverified = logged()
    assert assert_counts(verified) == {"Opened": (1, "Count")}
    assert assert_counts(unverified) == {
        "Opened": (1, "Count"),
        "VerificationFailures": (1, "Count"),
    }
    assert "cause" not in verified


def test_a_huge_handshake_makes_a_small_row(dynamodb: DynamoDBClient, invoke: Invoke) -> None:
    """The user agent is the only thing of a client's own making that could be any size."""
    event = connect_event(query={"clientId": ["a" * 128], "more": ["x" * 4000]})
    event["requestContext"]["identity"]["userAgent"] = "😀" * 2000

    assert invoke("connect", event)["statusCode"] == 200
    [row] = rows(dynamodb)
    assert row["userAgent"] == {"S": "😀" * 48}
    assert len(json.dumps(row, ensure_ascii=False).encode()) < 1024


def test_nothing_is_imported_for_what_is_not_configured() -> None:
    """A cold start without tokens does not pay for PyJWT, nor for what closes connections.

    The second is AWS's C runtime, which botocore imports by itself where nobody keeps it from it.
    """
    script = (
        "import json, sys, app\n"
        "from bench import network\n"
        "from tests.support.events import connect_event\n"
        "network.answer_in_process()\n"
        "answer = app.connect(connect_event(), None)\n"
        "roots = sorted({name.split('.')[0] for name in sys.modules})\n"
        "print(json.dumps([answer['statusCode'], roots]))\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "CONNECTIONS_TABLE": TABLE,
        "PYTHONPATH": str(ROOT),
    }

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    )

    status, roots = json.loads(done.stdout.splitlines()[-1])
    assert status == 200
    assert "botocore" in roots
    assert not {"jwt", "cryptography", "awscrt", "_awscrt", "boto3"} & set(roots)
