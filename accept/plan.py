"""Every check, in the order in which they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accept.checks import (
    activity,
    api,
    connecting,
    deployment,
    ending,
    events,
    functions,
    idling,
    messages,
    notifications,
    observing,
    recovering,
    refusals,
    renewing,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from accept.run import Run


@dataclass(frozen=True)
class Check:
    """One check. It is skipped unless the checks that it needs have passed.

    `option` is the command line's option that asks for it, None for a check that is always made.
    """

    name: str
    make: Callable[[Run], Awaitable[str]]
    needs: tuple[str, ...] = ()
    aws_only: bool = False
    option: str | None = None

    @property
    def about(self) -> str:
        """Return what it checks: the first line of its documentation."""
        return (self.make.__doc__ or "").partition("\n")[0].removeprefix("Check that ")


OPENED = ("handshake",)
# The functions skip rows that are not whole.
TRACKED = ("handshake", "row", "ttl", "index")

CHECKS = (
    Check("leftovers", ending.leftovers),
    Check("handshake", connecting.handshake),
    Check("row", connecting.row, OPENED),
    Check("ttl", connecting.ttl, ("row",)),
    Check("metadata", connecting.metadata, ("row",)),
    Check("index", connecting.index, ("row",)),
    Check("refused-client", refusals.client_id, OPENED),
    Check("refused-origin", refusals.origin, OPENED),
    Check("refused-token", refusals.token),
    Check("no-row-after-refusal", refusals.no_row, OPENED),
    Check("ping", messages.ping, OPENED),
    Check("unknown-message", messages.unknown_message, ("ping",)),
    Check("large-message", messages.large_message, ("ping",)),
    Check("message-limits", messages.message_limits, ("large-message",)),
    Check("connections", functions.connections, TRACKED),
    Check("who", functions.who, (*TRACKED, "ping")),
    Check("renewal", renewing.renewal, ("row", "ping")),
    Check("notify-some", notifications.some, (*TRACKED, "ping")),
    Check("notify-large", notifications.large, ("notify-some",)),
    Check("notify-all", notifications.everybody, ("notify-some",), option="--notify-all"),
    Check("last-active", activity.last_active, ("notify-some",)),
    Check("recover", recovering.recover, (*TRACKED, "ping")),
    Check("kick", functions.kick, TRACKED),
    Check("limit", ending.limit, (*TRACKED, "ping")),
    Check("disconnect", ending.disconnect, ("row",)),
    Check("sweep-dry-run", functions.sweep, TRACKED),
    Check("tls", api.tls, aws_only=True),
    Check("connections-api", api.connections_api, ("row",), aws_only=True),
    Check("routes", api.routes, aws_only=True),
    Check("route-response", api.route_response, ("routes",), aws_only=True),
    Check("throttling", api.throttling, aws_only=True),
    Check("access-log", api.access_log, aws_only=True),
    Check("functions", deployment.functions, aws_only=True),
    Check("policies", deployment.policies, aws_only=True),
    Check("table", deployment.table, aws_only=True),
    Check("subscription", events.subscription, aws_only=True),
    Check("redrive", events.redrive, ("subscription",), aws_only=True),
    Check("failure-queue", events.failure_queue, aws_only=True),
    Check("unclaimed-queue", events.unclaimed_queue, aws_only=True),
    Check("schedule", events.schedule, aws_only=True),
    Check("log-groups", observing.log_groups, aws_only=True),
    Check("alarms", observing.alarms, aws_only=True),
    Check("dashboard", observing.dashboard, aws_only=True),
    Check("metrics", observing.metrics, OPENED, aws_only=True, option="--metrics"),
    Check("idle", idling.idle, ("ping", "notify-some"), aws_only=True, option="--idle"),
    Check("cleanup", ending.cleanup, OPENED),
)
