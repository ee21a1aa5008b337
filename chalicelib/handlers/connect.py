"""The function `connect`: admits a connection, stores its row and verifies it, or refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import settings
from chalicelib.adapters.attempts import FOLLOWING_S
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain import connection, events
from chalicelib.domain.admission import Refused, admit
from chalicelib.domain.errors import RegistryError, StoreError, UnverifiedError
from chalicelib.store import ConnectionStore
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import WebsocketEvent

    from chalicelib.domain.admission import Admitted
    from chalicelib.domain.connection import Connection
    from chalicelib.domain.subjects import Identity
    from chalicelib.settings import Authentication
    from chalicelib.telemetry.logs import Log


# Time kept for the last log line.
RESERVE_S = 0.25
# Time kept for removing a row that may have been written by an attempt without an answer.
CLEAN_UP_S = FOLLOWING_S


def connect(event: WebsocketEvent) -> Response:
    """Store the connection of a `$connect` event. API Gateway opens it only after a 200.

    Costs one PutItem and one GetItem. Raises `RegistryError` unless the row is known to be in
    the table, so that no live connection is untracked; a row that may have been written is
    removed before that.
    """
    deadline = Deadline.of(event.context).minus(RESERVE_S)
    log = invocation_log(event.context, connectionId=event.connection_id)
    handshake = events.handshake(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    identity_of = _identity_of(config.authentication)
    decision = admit(
        handshake,
        config.allowed_origins,
        identity_of,
        config.subprotocols,
        config.authorizer_client,
    )
    if isinstance(decision, Refused):
        counted = metrics.fields(event.stage, {Metric.REFUSED: 1}, decision.reason)
        log.warning("refused", status=decision.status, detail=decision.detail, **counted)
        return Response(decision.body, status_code=decision.status)
    store = ConnectionStore.open(config.connections_table, deadline)
    written = connection.opened(
        handshake,
        decision.client_id,
        config.region,
        now_ms(),
        config.ttl_seconds,
        _expiry(decision, config.authentication),
    )
    try:
        store.put(written, retries=deadline.minus(CLEAN_UP_S))
        _verify(written, store, log, event.stage, config.log_connection_rows)
    except RegistryError as error:
        _clean_up(written, store, log, error)
        raise
    if config.max_connections_per_client is not None:
        # Imported only with a limit: it would cost every other cold start 10 ms.
        from chalicelib.services import limits

        limits.enforce_on_connect(written, store, config, log)
    return Response("connected", headers=_selected(decision))


def _identity_of(authentication: Authentication | None) -> Callable[[str], Identity] | None:
    if authentication is None:
        return None
    # Imported only when tokens are required: it would cost every other cold start 1 ms.
    from chalicelib.adapters import token_keys

    issuer, audience = authentication.issuer, authentication.audience
    return token_keys.verifier(issuer, audience, authentication.keys_url).identity


def _expiry(admitted: Admitted, authentication: Authentication | None) -> int | None:
    """Return when the connection ends with its token (epoch s), None if it does not."""
    is_ending = authentication is not None and authentication.ends_with_token
    return admitted.expires_at if is_ending else None


def _selected(admitted: Admitted) -> dict[str, str | list[str]]:
    if admitted.subprotocol is None:
        return {}
    return {"Sec-WebSocket-Protocol": admitted.subprotocol}


def _verify(
    written: Connection, store: ConnectionStore, log: Log, stage: str, log_row: bool
) -> None:
    try:
        stored = store.get(written.connection_id)
    except StoreError as error:
        values: dict[Metric, float] = {Metric.OPENED: 1, Metric.VERIFICATION_FAILURES: 1}
        log.warning(
            "connected; row could not be read back",
            error=str(error),
            row=written.row(),
            **metrics.fields(stage, values),
        )
        return
    if stored is None or not _same_connection(stored, written):
        raise UnverifiedError(written.row(), stored.row() if stored else None)
    known = {"row": stored.row()} if log_row else {"clientId": stored.client_id}
    log.info("connected", **known, **metrics.fields(stage, {Metric.OPENED: 1}))


def _same_connection(stored: Connection, written: Connection) -> bool:
    """Return whether a row belongs to this connection.

    Another delivery of the same `$connect` event may have taken the row over, which changes
    `createdAt` and `ttl`, the client may have renewed its token, and `close` may have marked it.
    """
    expected = replace(
        written,
        created_at=stored.created_at,
        ttl=stored.ttl,
        closing=stored.closing,
        closing_at=stored.closing_at,
        close_reason=stored.close_reason,
        close_reconnect=stored.close_reconnect,
        close_due=stored.close_due,
        expires_at=stored.expires_at,
    )
    return stored == expected and (
        stored.created_at == written.created_at or stored.connected_at is not None
    )


def _clean_up(written: Connection, store: ConnectionStore, log: Log, error: RegistryError) -> None:
    """Remove the row of a handshake that is about to be refused, if it may have been written."""
    if isinstance(error, StoreError) and not error.uncertain:
        return
    try:
        store.until(store.deadline.within(CLEAN_UP_S)).remove(written)
    except RegistryError as failure:
        log.error("row of a refused handshake may remain until the sweep", error=str(failure))
