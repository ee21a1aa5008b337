"""Who may connect, and as which client: a decision on the handshake and the settings."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.domain.errors import KeysUnavailableError, TokenError, shown
from chalicelib.domain.events import Handshake
from chalicelib.domain.subjects import Identity, subject_problem

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
INVALID_CLIENT_ID = (
    "invalid clientId; expected one value of 1 to 128 ASCII letters, digits and ._:@-, "
    "starting with a letter or digit"
)
BEARER = "bearer"
# How much of a refused clientId is logged: enough to recognize it, but no more than the header
# if it is a misplaced token.
SHOWN_CHARACTERS = 32
SHOWN_VALUES = 3
# `{"` in base64: the beginning of each JSON Web Token.
_TOKEN = "eyJ"  # noqa: S105 - not a secret


@dataclass(frozen=True)
class Admitted:
    """The handshake is accepted. A `client_id` of None is an anonymous client.

    `subprotocol` is the one of the offered subprotocols that the answer must select, if any.
    `expires_at` (epoch s) is when the client's token expires, None without one.
    """

    client_id: str | None = None
    subprotocol: str | None = None
    expires_at: int | None = None


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
    identity_of: Callable[[str], Identity] | None,
    subprotocols: tuple[str, ...] = (),
    authorizer_client: str = "",
) -> Admitted | Refused:
    """Accept or refuse a handshake.

    `origins` are the allowed values of `Origin`; an empty tuple allows all. `identity_of` returns
    whose token it is and raises `TokenError` or `KeysUnavailableError`; with None no token is
    required. `subprotocols` are those that the application speaks, beside `bearer`.
    `authorizer_client` is the key under which a Lambda authorizer names the client; if it is
    empty, the authorizer does not name clients.
    """
    if not _origin_allowed(handshake.origin, origins):
        return Refused(403, "origin", "Forbidden", f"Origin is {shown(handshake.origin)}")
    subprotocol = selected(handshake, subprotocols)
    if identity_of is not None:
        return _authenticated(handshake, identity_of, subprotocol)
    if authorizer_client:
        return _authorized(handshake, authorizer_client, subprotocol)
    if not handshake.client_ids:
        return Admitted(None, subprotocol)
    if not _one_client(handshake.client_ids):
        return _refused_client_id(handshake)
    return Admitted(handshake.client_ids[0], subprotocol)


def selected(handshake: Handshake, spoken: tuple[str, ...]) -> str | None:
    """Return the subprotocol to select, or None: one that was offered, and never a token.

    A browser closes the connection unless the answer selects one of those that it offered.
    `bearer` is selected whenever there is a token, whatever the settings are and wherever the
    token stands; otherwise the first offered one that the application speaks.
    https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    """
    bearer = next((name for name in handshake.subprotocols if name.lower() == BEARER), None)
    if bearer is not None and bearer_token(handshake) is not None:
        return bearer
    return next((name for name in handshake.subprotocols if name in spoken), None)


def _authenticated(
    handshake: Handshake, identity_of: Callable[[str], Identity], subprotocol: str | None
) -> Admitted | Refused:
    token = bearer_token(handshake)
    if token is None:
        return Refused(401, "no_token", "Unauthorized")
    try:
        identity = identity_of(token)
    except TokenError as error:
        return Refused(401, "bad_token", "Unauthorized", str(error))
    except KeysUnavailableError as error:
        return Refused(503, "no_keys", "Service unavailable", str(error))
    return _named(handshake, identity.subject, subprotocol, identity.expires_at)


def _authorized(handshake: Handshake, key: str, subprotocol: str | None) -> Admitted | Refused:
    """Admit the client that the authorizer names.

    An authorizer that lets a client in without naming it, or no authorizer, is a mistake in the
    deployment: admitting the client as an anonymous one would hide it.
    """
    subject = handshake.authorizer.get(key)
    problem = subject_problem(subject)
    if problem:
        detail = f"the authorizer's {key} {problem}; see AUTHORIZER_CLIENT"
        return Refused(500, "settings", "Internal server error", detail)
    return _named(handshake, str(subject), subprotocol)


def _named(
    handshake: Handshake, subject: str, subprotocol: str | None, expires_at: int | None = None
) -> Admitted | Refused:
    for client_id in handshake.client_ids:
        if client_id != subject:
            return _other_client(handshake)
    return Admitted(subject, subprotocol, expires_at)


def bearer_token(handshake: Handshake) -> str | None:
    """Return the token: of the header, else of the subprotocols, else of the query parameter.

    A browser cannot set headers on a WebSocket. It offers the subprotocols `bearer` and the
    token instead.
    """
    scheme, _, credentials = (handshake.authorization or "").partition(" ")
    if scheme.lower() == BEARER and credentials.strip():
        return credentials.strip()
    for name, following in itertools.pairwise(handshake.subprotocols):
        if name.lower() == BEARER:
            return following
    return handshake.token or None


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
    return " and ".join(map(_shown_client_id, handshake.client_ids[:SHOWN_VALUES]))


def _shown_client_id(client_id: str) -> str:
    return "a token" if client_id.startswith(_TOKEN) else repr(client_id[:SHOWN_CHARACTERS])
