"""The address of `@connections` for one API stage."""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from chalicelib.adapters import aws_clients

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.domain.connection import Connection

PORTS = {"http": 80, "https": 443}
# API Gateway's ids, for which `quote` takes five times as long as `replace`.
_USUAL_ID = re.compile(r"[A-Za-z0-9_-]+=*")


@dataclass(frozen=True)
class Endpoint:
    """Where the `@connections` of one API stage are; `prefix` is the path before them."""

    scheme: str
    host: str
    port: int
    prefix: str
    region: str

    @classmethod
    def of(cls, api_id: str, region: str, stage: str, url: str | None = None) -> Endpoint:
        """Return the endpoint of a stage, or the one at `url` if given.

        `url` has the form of `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`, stage included:
        `http://127.0.0.1:8765/dev`. Raises `ValueError` for an invalid address.
        """
        suffix = aws_clients.dns_suffix(region)
        address = url or f"https://{api_id}.execute-api.{region}.{suffix}/{stage}"
        parts = urlsplit(address)
        if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
            expected = "http:// or https://, a host, optionally a port and a path"
            raise ValueError(f"endpoint is {address!r}; expected {expected}")
        port = parts.port or PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"), region)

    @property
    def authority(self) -> str:
        """The Host header, which leaves out the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """The complete address, which identifies one API stage."""
        return f"{self.scheme}://{self.authority}{self.prefix}"

    def path(self, connection_id: str) -> str:
        """Return the path of one connection; the `=` at the end of an id is encoded."""
        usual = _USUAL_ID.fullmatch(connection_id)
        quoted = connection_id.replace("=", "%3D") if usual else quote(connection_id, safe="")
        return f"{self.prefix}/@connections/{quoted}"


def endpoint_of(connection: Connection, override: str) -> Endpoint | None:
    """Return the endpoint of a connection's API, or None if the row has no valid one.

    `override` is the setting `AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI`, empty if not set.
    """
    api_id, region, stage = connection.api_id, connection.region, connection.stage
    if not (api_id and region and stage):
        return None
    with contextlib.suppress(ValueError):
        return _endpoint(api_id, region, stage, override or None)
    return None


def by_endpoint(
    connections: Iterable[Connection], override: str
) -> dict[Endpoint, list[Connection]]:
    """Group connections by endpoint. Connections without a valid one are omitted."""
    groups: dict[Endpoint, list[Connection]] = {}
    for connection in connections:
        endpoint = endpoint_of(connection, override)
        if endpoint:
            groups.setdefault(endpoint, []).append(connection)
    return groups


_endpoint = functools.lru_cache(maxsize=64)(Endpoint.of)
