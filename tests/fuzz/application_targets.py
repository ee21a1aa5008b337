"""What the application reads from outside: events, notifications, messages, tokens, keys, rows."""

import contextlib
import functools
import json
from typing import Any
from unittest.mock import patch

import jwt

from chalicelib.adapters import bounded_fetch, token_keys
from chalicelib.domain import events, presence, requests, unclaimed
from chalicelib.domain.admission import Admitted, admit, bearer_token
from chalicelib.domain.close_causes import cause_of
from chalicelib.domain.errors import (
    EventError,
    KeysUnavailableError,
    NotificationError,
    QueuedMessageError,
    RequestError,
    TokenError,
)
from chalicelib.domain.malformed_rows import disposable
from chalicelib.domain.notification import from_sns
from chalicelib.domain.rows import decoded, to_item
from chalicelib.domain.unclaimed import Why
from chalicelib.handlers import unclaimed as unclaimed_handler
from chalicelib.services import recording
from chalicelib.services.delivery import Cursor

ISSUER, AUDIENCE, ADDRESS = "https://issuer.example", "dashboard", "https://issuer.example/keys"
SECRET = 0x5EC2E7  # of a key for these tests only
NOW_MS = 1_731_324_924_561
# A shorter text may be in a message by chance.
TOKEN_CHARACTERS = 16
DYNAMODB_TYPES = {"S": str, "N": str, "BOOL": bool, "NULL": bool, "L": list, "M": dict}


def parsed(data: bytes) -> Any:
    """Return the JSON of some bytes as Lambda passes it on: anything else never comes as far."""
    try:
        return json.loads(data)
    except (RecursionError, ValueError):
        return None


def api_gateway_events(data: bytes) -> None:
    """Parse and admit an event of API Gateway, or refuse it with `EventError`."""
    event = parsed(data)
    try:
        events.check(event)
    except EventError as error:
        str(error)
        return
    handshake, ended = events.handshake(event), events.ended(event)
    cause_of(ended.code, ended.duration_s, None)
    token = bearer_token(handshake)
    for identity_of, authorizer in ((None, ""), (_unknown, ""), (None, "principalId")):
        decision = admit(handshake, (), identity_of, ("v1",), authorizer)
        if isinstance(decision, Admitted):
            decision = admit(handshake, ("https://other.example",), identity_of)
        if token and len(token) >= TOKEN_CHARACTERS and not isinstance(decision, Admitted):
            sent = (str(handshake.origin), *handshake.client_ids)
            if not any(token in each for each in sent):
                assert token not in decision.detail + decision.body, "told a token"


def _unknown(_token: str) -> Any:
    raise TokenError("unknown key id (kid)")


def notifications(data: bytes) -> None:
    """Make an envelope of JSON of an SNS event, or refuse it with `NotificationError`."""
    event = parsed(data)
    try:
        notification = from_sns(event)
        envelope = notification.envelope()
    except NotificationError as error:
        str(error)
        return
    json.loads(envelope)
    # `notify` refuses a place for these.
    with contextlib.suppress(AttributeError, LookupError, TypeError):
        Cursor.from_json(event["place"])
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        recording.continued(event.get("place", {}))


def queued_messages(data: bytes) -> None:
    """Read a message of the queue, the same again, or refuse it with `QueuedMessageError`."""
    try:
        queued = unclaimed.parse(unclaimed_handler._body(parsed(data)))
    except QueuedMessageError as error:
        str(error)
        return
    assert unclaimed.parse(queued.to_text()) == queued
    for client, why in unclaimed.unclaimed(queued, {}):
        json.dumps(queued.detail(client.client_id, client.seq, Why(why)))


def client_messages(data: bytes) -> None:
    """Read a client's message, or refuse it with a `RequestError`; tell no token."""
    text = data.decode("utf-8", "replace")
    message = requests.parse(text)
    message.request_number()
    for ask in (message.request, message.authenticate):
        try:
            request = ask()
        except RequestError as error:
            str(error)
        else:
            if isinstance(request, requests.Authenticate):
                assert len(request.token) < TOKEN_CHARACTERS or request.token not in repr(request)
    if message.fields:
        try:
            presence.parse(message.fields)
        except RequestError as error:
            str(error)


def tokens(data: bytes) -> None:
    """Verify a token, or refuse it with a `TokenError` that does not tell it."""
    token = data.decode("utf-8", "replace")
    try:
        _verifier().identity(token)
    except TokenError as error:
        _tells_nothing(token, error)


def _tells_nothing(token: str, error: Exception) -> None:
    assert len(token) < TOKEN_CHARACTERS or token not in str(error), "told a token"


def signed_claims(data: bytes) -> None:
    """Make an identity of claims that the issuer itself has signed, or refuse them."""
    claims = parsed(data)
    if not isinstance(claims, dict):
        return
    token = _signed(claims)
    try:
        identity = _verifier().identity(token)
    except TokenError as error:
        _tells_nothing(token, error)
    else:
        assert 0 < len(identity.subject.encode()) <= 128
        assert identity.expires_at <= token_keys.LATEST_EXPIRY_S


def key_sets(data: bytes) -> None:
    """Read a response with keys, or refuse it with `KeysUnavailableError`."""
    if len(data) > token_keys.MAX_KEYS_BYTES:
        return
    with patch.object(bounded_fetch, "fetch", lambda *_: data):
        try:
            assert token_keys.fetch_keys(ADDRESS)
        except KeysUnavailableError as error:
            str(error)


def rows(data: bytes) -> None:
    """Read and judge rows of the table: each is a connection or malformed."""
    found = parsed(data)
    items = [_item(each) for each in found if isinstance(each, dict)] if _is_list(found) else []
    connections, malformed = decoded(items)
    assert len(connections) + len(malformed) == len(items)
    for connection in connections:
        assert decoded([to_item(connection)]) == ((connection,), ())
        assert connection.duration_s(NOW_MS) >= 0
        connection.may_live(NOW_MS)
        connection.is_expired(NOW_MS)
    for item in malformed:
        disposable(item, NOW_MS)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _item(row: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a row that DynamoDB could have returned."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, dict)
        and len(value) == 1
        and all(isinstance(each, DYNAMODB_TYPES.get(kind, ())) for kind, each in value.items())
    }


@functools.cache
def _key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.derive_private_key(SECRET, ec.SECP256R1())


@functools.cache
def _verifier() -> token_keys.Verifier:
    public = jwt.algorithms.ECAlgorithm.to_jwk(_key().public_key(), as_dict=True)
    published = jwt.PyJWK.from_dict(public | {"kid": "k", "alg": "ES256", "use": "sig"})
    keys = token_keys.KeySet(lambda: {"k": published}, lambda: 0.0)
    return token_keys.Verifier(ISSUER, AUDIENCE, keys)


def _signed(claims: dict[str, Any]) -> str:
    payload = json.dumps(claims).encode()
    return jwt.api_jws.encode(payload, _key(), "ES256", headers={"kid": "k"})
