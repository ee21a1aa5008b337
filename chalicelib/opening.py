"""What happens when a connection opens: it is admitted, stored and verified, or refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib import connection, events, limits, metrics, settings
from chalicelib.admission import Refused, admit
from chalicelib.errors import StoreError, UnverifiedError
from chalicelib.logs import invocation_log, set_level
from chalicelib.metrics import Metric
from chalicelib.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalice.app import WebsocketEvent

    from chalicelib.admission import Admitted
    from chalicelib.connection import Connection
    from chalicelib.logs import Log
    from chalicelib.settings import Authentication
    from chalicelib.store import ConnectionStore


def register(event: WebsocketEvent) -> Response:
    """Track the connection of a `$connect` event; API Gateway opens it only after a 200.

    Costs one PutItem and one GetItem. Raises `RegistryError` whenever the row is not known to
    be in the table, so that no live connection is ever untracked.
    """
    log = invocation_log(event.context, connectionId=event.connection_id)
    handshake = events.handshake(event.to_dict())
    config = settings.load()
    set_level(config.log_level)
    decision = admit(handshake, config.allowed_origins, _subject_of(config.authentication))
    if isinstance(decision, Refused):
        counted = metrics.fields(event.stage, {Metric.REFUSED: 1}, decision.reason)
        log.warning("refused", status=decision.status, detail=decision.detail, **counted)
        return Response(decision.body, status_code=decision.status)
    store = open_store(config.connections_table)
    now_ms = time.time_ns() // 1_000_000
    written = connection.opened(
        handshake, decision.client_id, config.region, now_ms, config.ttl_seconds
    )
    store.put(written)
    _verify(written, store, log, event.stage)
    limits.enforce_on_connect(written, store, config, log)
    return Response("connected", headers=_selected(decision))


def _subject_of(authentication: Authentication | None) -> Callable[[str], str] | None:
    if authentication is None:
        return None
    from chalicelib import tokens

    issuer, audience = authentication.issuer, authentication.audience
    return tokens.verifier(issuer, audience, authentication.keys_url).subject


def _selected(admitted: Admitted) -> dict[str, str | list[str]]:
    if admitted.subprotocol is None:
        return {}
    return {"Sec-WebSocket-Protocol": admitted.subprotocol}


def _verify(written: Connection, store: ConnectionStore, log: Log, stage: str) -> None:
    try:
        stored = store.get(written.connection_id)
    except StoreError as error:
        values: dict[Metric, float] = {Metric.OPENED: 1, Metric.VERIFICATION_FAILURES: 1}
        log.warning(
            "connected, not verified",
            error=str(error),
            row=written.row(),
            **metrics.fields(stage, values),
        )
        return
    if stored != written:
        raise UnverifiedError(written.row(), stored.row() if stored else None)
    log.info("connected", row=stored.row(), **metrics.fields(stage, {Metric.OPENED: 1}))
