"""Who may connect, and as whom: decided from the handshake and the settings alone."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.errors import KeysUnavailableError, TokenError
from chalicelib.events import Handshake

CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
ACCEPTED_CLIENT_ID = (
    "clientId is not accepted; accepted is one value of 1 to 128 letters, digits and ._:@-, "
    "starting with a letter or digit"
)
BEARER = "bearer"
# What a refused clientId shows of itself in the log: enough to know it by, and not more of a
# token that was sent in the wrong place than its header.
SHOWN_CHARACTERS = 32


@dataclass(frozen=True)
class Admitted:
    """The handshake may go on, for the client named or an anonymous one.

    `subprotocol` is the one that the answer has to select, if the client gave its token there.
    """

    client_id: str | None = None
    subprotocol: str | None = None


@dataclass(frozen=True)
class Refused:
    """The handshake is refused with `status` and `body`; the log gets `reason` and `detail`."""

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
    """Decide on a handshake.

    `origins` are the accepted values of `Origin`, none for all. `subject_of` gives the subject
    of a token and raises `TokenError` or `KeysUnavailableError`; None asks for no token.
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
    """Find the token, and the subprotocol to select when it came as one.

    A browser cannot set a header on a WebSocket; it offers the subprotocols `bearer` and the
    token, and closes the connection unless the answer selects one of them.
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
    """Compare as https://www.rfc-editor.org/rfc/rfc6454 does; only browsers send an Origin."""
    return not origins or origin is None or origin.lower() in origins


def _one_client(client_ids: tuple[str, ...]) -> bool:
    return len(set(client_ids)) == 1 and CLIENT_ID.fullmatch(client_ids[0]) is not None


def _refused_client_id(handshake: Handshake) -> Refused:
    return Refused(400, "client_id", ACCEPTED_CLIENT_ID, f"clientId is {_shown(handshake)}")


def _other_client(handshake: Handshake) -> Refused:
    if not _one_client(handshake.client_ids):
        return _refused_client_id(handshake)
    detail = f"clientId is {_shown(handshake)}, not the subject"
    return Refused(403, "other_client", "Forbidden", detail)


def _shown(handshake: Handshake) -> str:
    return " and ".join(repr(client_id[:SHOWN_CHARACTERS]) for client_id in handshake.client_ids)
