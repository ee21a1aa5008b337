"""Who may connect, and as which client: a decision on the handshake and the settings."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.domain.errors import KeysUnavailableError, TokenError
from chalicelib.domain.events import Handshake

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
INVALID_CLIENT_ID = (
    "invalid clientId; expected one value of 1 to 128 ASCII letters, digits and ._:@-, "
    "starting with a letter or digit"
)
BEARER = "bearer"
# How much of a refused clientId is logged: enough to recognize it, but no more than the header
# if it is a misplaced token.
SHOWN_CHARACTERS = 32


@dataclass(frozen=True)
class Admitted:
    """The handshake is accepted. A `client_id` of None is an anonymous client.

    `subprotocol` is the one that the answer must select, if the client sent its token that way.
    """

    client_id: str | None = None
    subprotocol: str | None = None


@dataclass(frozen=True)
class Refused:
    """The handshake is refused with `status` and `body`. The log gets `reason` and `detail`."""

    status: int
    reason: str
    body: str
    detail: str = ""


REASONS = ("origin", "client_id", "no_token", "bad_token", "no_keys", "other_client")


def admit(
    handshake: Handshake,
    origins: tuple[str, ...],
    subject_of: Callable[[str], str] | None,
) -> Admitted | Refused:
    """Accept or refuse a handshake.

    `origins` are the allowed values of `Origin`; an empty tuple allows all. `subject_of` returns
    the subject of a token and raises `TokenError` or `KeysUnavailableError`; with None no token
    is required.
    """
    if not _origin_allowed(handshake.origin, origins):
        return Refused(403, "origin", "Forbidden", f"Origin is {handshake.origin!r}")
    if subject_of is not None:
        return _authenticated(handshake, subject_of)
    if not handshake.client_ids:
        return Admitted()
    if not _one_client(handshake.client_ids):
        return _refused_client_id(handshake)
    return Admitted(handshake.client_ids[0])


def _authenticated(handshake: Handshake, subject_of: Callable[[str], str]) -> Admitted | Refused:
    token, subprotocol = bearer_token(handshake)
    if token is None:
        return Refused(401, "no_token", "Unauthorized")
    try:
        subject = subject_of(token)
    except TokenError as error:
        return Refused(401, "bad_token", "Unauthorized", str(error))
    except KeysUnavailableError as error:
        return Refused(503, "no_keys", "Service unavailable", str(error))
    for client_id in handshake.client_ids:
        if client_id != subject:
            return _other_client(handshake)
    return Admitted(subject, subprotocol)


def bearer_token(handshake: Handshake) -> tuple[str | None, str | None]:
    """Return the token, and the subprotocol to select if the token came as one.

    A browser cannot set headers on a WebSocket. It offers the subprotocols `bearer` and the
    token instead, and closes the connection unless the answer selects one of them.
    """
    scheme, _, credentials = (handshake.authorization or "").partition(" ")
    if scheme.lower() == BEARER and credentials.strip():
        return credentials.strip(), None
    offered = handshake.subprotocols
    for name, following in itertools.pairwise(offered):
        if name.lower() == BEARER:
            return following, name
    return handshake.token or None, None


def _origin_allowed(origin: str | None, origins: tuple[str, ...]) -> bool:
    """Compare origins as RFC 6454 does. Only browsers send an Origin."""
    return not origins or origin is None or origin.lower() in origins


def _one_client(client_ids: tuple[str, ...]) -> bool:
    return len(set(client_ids)) == 1 and CLIENT_ID.fullmatch(client_ids[0]) is not None


def _refused_client_id(handshake: Handshake) -> Refused:
    return Refused(400, "client_id", INVALID_CLIENT_ID, f"clientId is {_shown(handshake)}")


def _other_client(handshake: Handshake) -> Refused:
    if not _one_client(handshake.client_ids):
        return _refused_client_id(handshake)
    detail = f"clientId is {_shown(handshake)}, not the subject"
    return Refused(403, "other_client", "Forbidden", detail)


def _shown(handshake: Handshake) -> str:
    return " and ".join(repr(client_id[:SHOWN_CHARACTERS]) for client_id in handshake.client_ids)
