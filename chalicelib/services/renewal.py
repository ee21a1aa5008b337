"""Lets a connection go on with a new token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.adapters import token_keys
from chalicelib.domain.close_causes import Cause
from chalicelib.domain.errors import MalformedRowError
from chalicelib.domain.goodbye import UNKNOWN

if TYPE_CHECKING:
    from chalicelib.settings import Authentication
    from chalicelib.store import ConnectionStore


@dataclass(frozen=True)
class Renewed:
    """The connection goes on until `expires_at` (epoch s)."""

    expires_at: int


@dataclass(frozen=True)
class OtherClient:
    """The token is valid, but `subject` is not the connection's client, `client_id`."""

    client_id: str
    subject: str


@dataclass(frozen=True)
class Ended:
    """The connection cannot go on: its row is gone (`unknown`), or is being closed (`expired`)."""

    reason: str


def renew(
    token: str, connection_id: str, authentication: Authentication, store: ConnectionStore
) -> Renewed | OtherClient | Ended:
    """Have a connection end with a new token instead of the present one.

    A connection whose token has expired goes on, too, unless the sweep has begun to close it. Costs
    one GetItem and one UpdateItem; no UpdateItem for a connection that outlives its token.
    Raises `TokenError`, `KeysUnavailableError` and `StoreError`.
    """
    verifier = token_keys.verifier(
        authentication.issuer, authentication.audience, authentication.keys_url
    )
    identity = verifier.identity(token)
    try:
        connection = store.get(connection_id)
    except MalformedRowError:
        connection = None
    if connection is None:
        return Ended(UNKNOWN)
    if connection.client_id != identity.subject:
        return OtherClient(connection.client_id, identity.subject)
    is_ending = authentication.ends_with_token or connection.expires_at is not None
    if is_ending and not store.renew(connection, identity.expires_at):
        return Ended(Cause.EXPIRED)
    return Renewed(identity.expires_at)
