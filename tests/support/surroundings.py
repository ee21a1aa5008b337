"""Names under which the tests of handlers and services still import the support code."""

from tests.support.connections import now_ms, tracked
from tests.support.connections_api import ConnectionsApi, api_in_use, connections_api
from tests.support.event_bus import BUS, listen
from tests.support.lambda_context import Context

__all__ = [
    "BUS",
    "ConnectionsApi",
    "Context",
    "api_in_use",
    "connections_api",
    "listen",
    "now_ms",
    "tracked",
]
