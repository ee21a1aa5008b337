"""The function `message`: answers what clients send.

It writes only the expiry of a token that a client renews, and the claims of notifications that a
client has picked up, if these are watched.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chalice.app import Response

from chalicelib import settings
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain import requests
from chalicelib.domain.errors import (
    KeysUnavailableError,
    MalformedRowError,
    RegistryError,
    RequestError,
    TokenError,
)
from chalicelib.domain.requests import Heads, Received
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from chalice.app import WebsocketEvent

    from chalicelib.domain.connection import Connection
    from chalicelib.domain.requests import Authenticate, Message, Recover
    from chalicelib.settings import Authentication, History, Settings
    from chalicelib.store import ConnectionStore
    from chalicelib.telemetry.logs import Log

EXPECTED = '{"action": "ping"}'
SHOWN_CHARACTERS = 100
# Time kept for the last log line.
RESERVE_S = 0.25


def message(event: WebsocketEvent) -> Response:
    """Answer a message. API Gateway sends the body of the response to the client.

    A ping keeps the connection open, which API Gateway closes after 10 idle minutes.
    """
    body = event.to_dict().get("body")  # Chalice's `event.body` is "None" if there is none
    sent = requests.parse(body if isinstance(body, str) else "")
    if sent.action == "authenticate":
        return Response(_authenticated(sent, event))
    return Response(_from_history(sent, event) if sent.reads_history else reply(sent, now_ms()))


def reply(sent: Message, now: int) -> str:
    """Return the answer for which nothing has to be read: a pong with the time, or an error."""
    if sent.action == "ping":
        return _json({"type": "pong", "at": now})
    text = sent.text
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
    return _error("bad_request", f"unknown message {shown!r}; send {EXPECTED}")


def _from_history(sent: Message, event: WebsocketEvent) -> str:
    """Return the answer to a request. Any failure asks the client to try again."""
    log = invocation_log(event.context, connectionId=event.connection_id)
    try:
        config = settings.load()
        set_level(config.log_level)
        if config.history is None:
            return reply(sent, now_ms())
        return _read(sent.request(), config, config.history, event, log)
    except RequestError as error:
        return _error("bad_request", str(error), error.n)
    except RegistryError as error:
        _log_failure(error, log)
        return _error("try_again", "the history cannot be read now", sent.request_number())


def _read(
    request: Heads | Recover | Received,
    config: Settings,
    own: History,
    event: WebsocketEvent,
    log: Log,
) -> str:
    # Imported only with such a request: a ping needs neither DynamoDB nor the history.
    from chalicelib.claims import Claims
    from chalicelib.domain.close_causes import Cause
    from chalicelib.domain.goodbye import UNKNOWN, goodbye
    from chalicelib.history import open_history
    from chalicelib.services import claiming, recovery
    from chalicelib.store import ConnectionStore

    deadline = Deadline.of(event.context).minus(RESERVE_S)
    store = ConnectionStore.open(config.connections_table, deadline)
    history = open_history(own.table, deadline)
    claims = Claims(history, own.keep_seconds) if config.unclaimed and own.has_own else None
    now = now_ms()
    connection = _row(store, event.connection_id, now, consistent=not isinstance(request, Heads))
    if connection is None:
        return goodbye(UNKNOWN).text()
    if connection.is_expired(now):
        return goodbye(Cause.EXPIRED).text()
    if isinstance(request, Heads):
        heads = recovery.heads(connection.known_client_id, history, own, now)
        return _json({"type": "pong", "at": now, "n": request.n, "heads": heads})
    client_id = connection.known_client_id
    if isinstance(request, Received):
        if claims:
            claiming.receive(request, client_id, claims, now)
        return _json({"type": "pong", "at": now, "n": request.n})
    answer = recovery.recovered(request, client_id, history, own, now)
    if claims and client_id is not None:
        claiming.hand_out(client_id, answer.own, claims, now)
    if answer.count:
        counted = metrics.fields(config.stage, {Metric.RECOVERED: answer.count})
        log.info("recovered", clientId=connection.client_id, **counted)
    return answer.text


def _row(
    store: ConnectionStore, connection_id: str, now: int, *, consistent: bool
) -> Connection | None:
    """Return the connection's row, or None if there is none.

    Only a consistent read tells that there is none, or that the token has not been renewed.
    """
    try:
        row = None if consistent else store.get(connection_id, consistent=False)
        return store.get(connection_id) if row is None or row.is_expired(now) else row
    except MalformedRowError:
        return None


def _authenticated(sent: Message, event: WebsocketEvent) -> str:
    """Return the answer to a new token, which is never logged."""
    log = invocation_log(event.context, connectionId=event.connection_id)
    n = sent.request_number()
    try:
        config = settings.load()
        set_level(config.log_level)
        if config.authentication is None:
            return _error("bad_request", "this API takes no tokens", n)
        return _renewed(sent.authenticate(), config.authentication, config, event, log)
    except RequestError as error:
        return _error("bad_request", str(error), error.n)
    except TokenError as error:
        log.warning("token refused", code="bad_token", detail=str(error))
        return _error("bad_token", "the token is not accepted", n)
    except KeysUnavailableError as error:
        log.warning("token refused", code="no_keys", detail=str(error))
        return _error("no_keys", "the token cannot be verified now", n)
    except RegistryError as error:
        _log_failure(error, log)
        return _error("try_again", "the token cannot be renewed now", n)


def _renewed(
    request: Authenticate,
    authentication: Authentication,
    config: Settings,
    event: WebsocketEvent,
    log: Log,
) -> str:
    # Imported only with such a request: a ping needs neither DynamoDB nor tokens.
    from chalicelib.domain.goodbye import goodbye
    from chalicelib.services import renewal
    from chalicelib.store import ConnectionStore

    deadline = Deadline.of(event.context).minus(RESERVE_S)
    store = ConnectionStore.open(config.connections_table, deadline)
    match renewal.renew(request.token, event.connection_id, authentication, store):
        case renewal.Renewed(expires_at):
            numbered = {} if request.n is None else {"n": request.n}
            return _json({"type": "authenticated", "expiresAt": expires_at} | numbered)
        case renewal.OtherClient(client_id, subject):
            detail = f"the subject is {subject!r}"
            log.warning("token refused", code="other_client", clientId=client_id, detail=detail)
            return _error("other_client", "the token is another client's", request.n)
        case renewal.Ended(reason):
            return goodbye(reason).text()


def _log_failure(error: RegistryError, log: Log) -> None:
    counted = metrics.fields(settings.stage(), {Metric.FAILURES: 1})
    log.error("message failed", error=str(error), errorType=type(error).__name__, **counted)


def _error(code: str, text: str, n: int | None = None) -> str:
    fields: dict[str, Any] = {"type": "error", "message": text, "code": code}
    if n is not None:
        fields["n"] = n
    return _json(fields)


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False)
