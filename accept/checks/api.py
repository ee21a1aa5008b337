"""AWS only: the API, its stage and its addresses."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from accept.checks.connecting import FIRST, row_of
from accept.checks.ending import is_open
from accept.definitions import of_stage
from accept.errors import FailedError, SkippedError

if TYPE_CHECKING:
    from accept.run import Run

ROUTES = {"$connect", "$disconnect", "$default"}
CHALICE_MAKES_NONE = "`chalice deploy` sets none; see docs/deployment.md"
TIMEOUT_S = 10.0


async def tls(run: Run) -> str:
    """Check that clients connect by TLS 1.2 or later, with a certificate of the host."""
    parts = urlsplit(run.target.url)
    if parts.scheme != "wss":
        raise SkippedError(f"{run.target.url} is not a wss:// address")
    host, port = str(parts.hostname), parts.port or 443
    try:
        version = await asyncio.to_thread(_tls_version, host, port)
    except OSError as error:  # SSLError too
        raise FailedError("TLS with a valid certificate", error, f"{host}:{port}") from error
    return version


def _tls_version(host: str, port: int) -> str:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((host, port), TIMEOUT_S) as raw,
        context.wrap_socket(raw, server_hostname=host) as wrapped,
    ):
        return str(wrapped.version())


async def connections_api(run: Run) -> str:
    """Check that `@connections` answers signed requests only."""
    connection_id = (await row_of(run, FIRST))["connectionId"]
    if not await is_open(run, connection_id):
        raise FailedError("an answer for an open connection", "410 Gone", _api(run))
    status = await asyncio.to_thread(_unsigned, run.target.connections_api)
    if status != 403:
        raise FailedError("HTTP 403 without a signature", f"HTTP {status}", _api(run))
    return "HTTP 403 without a signature"


def _unsigned(address: str) -> int:
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path}/@connections/accept%3D")
        return connection.getresponse().status
    finally:
        connection.close()


async def routes(run: Run) -> str:
    """Check that the API has its three routes and its stage serves a deployment of them."""
    seen = await _stage(run)
    by_key = await _routes(run)
    if by_key.keys() != ROUTES:
        raise FailedError(f"the routes {sorted(ROUTES)}", sorted(by_key), _api(run))
    if seen.get("AutoDeploy"):
        return "3 routes, deployed automatically"
    deployment = await run.aws.call(
        "apigatewayv2",
        "get_deployment",
        ApiId=_api_id(run),
        DeploymentId=seen["DeploymentId"],
    )
    if deployment["DeploymentStatus"] != "DEPLOYED":
        raise FailedError("a deployment that is served", deployment["DeploymentStatus"], _api(run))
    return f"3 routes, deployment {seen['DeploymentId']}"


async def route_response(run: Run) -> str:
    """Check that the route `$default` has a route response, so that answers reach the client."""
    route_id = (await _routes(run))["$default"]
    responses = await run.aws.call(
        "apigatewayv2", "get_route_responses", ApiId=_api_id(run), RouteId=route_id
    )
    if not responses["Items"]:
        raise FailedError("a route response of $default", "none", _api(run))
    return str(responses["Items"][0]["RouteResponseKey"])


async def throttling(run: Run) -> str:
    """Check that the stage's requests are throttled as the resources file says."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    expected = (
        of_stage(run.target, "RequestsPerSecond"),
        of_stage(run.target, "RequestBurst"),
    )
    settings = (await _stage(run)).get("DefaultRouteSettings", {})
    seen = (settings.get("ThrottlingRateLimit"), settings.get("ThrottlingBurstLimit"))
    if seen != expected:
        raise FailedError(f"rate and burst {expected}", seen, _api(run))
    return f"{expected[0]} requests/s, burst {expected[1]}"


async def access_log(run: Run) -> str:
    """Check that the stage writes an access log."""
    if run.target.kind == "chalice":
        raise SkippedError(CHALICE_MAKES_NONE)
    destination = (await _stage(run)).get("AccessLogSettings", {}).get("DestinationArn")
    if not destination:
        raise FailedError("a destination of the access log", destination, _api(run))
    return str(destination).rpartition(":")[2]


async def _stage(run: Run) -> dict[str, Any]:
    """Return the stage, which is read once."""
    if "stage" not in run.read:
        run.read["stage"] = await run.aws.call(
            "apigatewayv2", "get_stage", ApiId=_api_id(run), StageName=run.target.stage
        )
    return run.read["stage"]


async def _routes(run: Run) -> dict[str, str]:
    """Return the ids of the API's routes by key, which are read once."""
    if "routes" not in run.read:
        run.read["routes"] = await run.aws.call("apigatewayv2", "get_routes", ApiId=_api_id(run))
    return {route["RouteKey"]: route["RouteId"] for route in run.read["routes"]["Items"]}


def _api_id(run: Run) -> str:
    if run.target.api_id is None:
        raise SkippedError(f"{run.target.url} does not show the id of its API")
    return run.target.api_id


def _api(run: Run) -> str:
    return f"API {run.target.api_id}, stage {run.target.stage}"
