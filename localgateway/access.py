"""Access to the gateway's ports over HTTP.

Any page in the developer's browser can send requests to loopback, and a name that it controls can
be made to point there. Every request therefore passes `Access` first, and requests to AWS services
carry a signature, which a page cannot add without an `Origin`. WebSocket upgrades do not come here:
API Gateway looks at neither `Host` nor `Origin`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.types import Scope, Send

    Headers = Iterable[tuple[bytes, bytes]]

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(:\d+)?", re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,\s]+)/\d{8}/(?P<region>[\w-]+)/(?P<service>[\w.-]+)"
    r"/aws4_request,\s*SignedHeaders=[\w;-]+,\s*Signature=[0-9a-f]{64}",
    re.ASCII,
)


@dataclass(frozen=True)
class Refusal:
    """The error response of a request that is not admitted."""

    code: str
    message: str
    status: HTTPStatus = HTTPStatus.FORBIDDEN


UNSIGNED = Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
MALFORMED = Refusal(
    "IncompleteSignatureException",
    "The Authorization header is not a signature of the form AWS4-HMAC-SHA256 "
    "Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=…, Signature=…",
)


@dataclass(frozen=True)
class Signature:
    """The parts of an AWS signature that say who signed for which service."""

    access_key: str
    region: str
    service: str


@dataclass(frozen=True)
class Access:
    """The rule for every HTTP request; `hosts` are the names that `Host` may have, in lower case.

    IPv6 addresses are in brackets.
    """

    hosts: frozenset[str] = LOCAL_HOSTS

    def refusal(self, headers: Headers) -> Refusal | None:
        """Return why a request is refused, or None.

        `Host` has to be one of the names, with any port: a tunnel or a container may map ports.
        `Origin`, which browsers send with each request that could do harm, has to be that host.
        """
        given = list(headers)
        hosts = _values(given, b"host")
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None or match["name"] not in self.hosts:
            return Refusal(
                "ForbiddenException",
                f"Host is {', '.join(map(repr, hosts)) or 'missing'}; "
                f"expected one of {', '.join(sorted(self.hosts))} (--allow-host adds a name)",
            )
        for origin in _values(given, b"origin"):
            if origin != f"http://{hosts[0]}":
                return Refusal("ForbiddenException", f"requests of {origin} are refused")
        return None


def allowed_hosts(host: str, names: Sequence[str]) -> frozenset[str]:
    """Return the names for `Host`: this machine's, the address listened on, and `names`."""
    return LOCAL_HOSTS | {
        f"[{name}]" if ":" in name and not name.startswith("[") else name
        for name in map(str.lower, (host, *names))
    }


def signature(headers: Headers) -> Signature | Refusal:
    """Return the signature of a request, or the refusal of a request without one.

    Its form is checked, not its value. A signature in the query string does not count: a page can
    put one there.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return UNSIGNED
    match = _SIGNATURE.fullmatch(values[0].decode("latin-1").strip())
    if match is None or len(values) > 1:
        return MALFORMED
    return Signature(match["key"], match["region"], match["service"])


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Send the error response in the format of the request, and close the socket."""
    query = any(
        name == b"content-type" and value.startswith(b"application/x-www-form-urlencoded")
        for name, value in scope["headers"]
    )
    body = _xml(refusal) if query else json.dumps({"message": refusal.message})
    # The unread rest of a body would otherwise be parsed as the next request.
    headers = [
        (b"content-type", b"text/xml" if query else b"application/json"),
        (b"x-amzn-errortype", refusal.code.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _values(headers: Headers, wanted: bytes) -> list[str]:
    return [value.decode("latin-1").strip().lower() for name, value in headers if name == wanted]


def _xml(refusal: Refusal) -> str:
    message = refusal.message.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{refusal.code}</Code>"
        f"<Message>{message}</Message></Error></ErrorResponse>"
    )
