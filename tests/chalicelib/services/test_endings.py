from collections.abc import Callable
from typing import Any

import pytest
from moto import mock_aws

from chalicelib.domain.close_causes import Cause, Ending
from chalicelib.domain.connection import Connection
from chalicelib.services.endings import announce
from chalicelib.settings import load
from chalicelib.telemetry.logs import Log
from tests.support.connections import NO_DEADLINE
from tests.support.embedded_metrics import assert_counts
from tests.support.event_bus import BUS, queued

LOG = Log({"function": "disconnect"})
Logged = Callable[[], list[dict[str, Any]]]


def endings(number: int) -> list[Ending]:
    return [
        Ending(Connection(f"{n}=", 1000, 60, "alice", 900), Cause.GOING_AWAY, 1001, 3500, 2.5)
        for n in range(number)
    ]


@mock_aws
@pytest.mark.parametrize(("bus", "published"), [(BUS, 2), ("", 0)])
def test_each_end_is_published_if_a_bus_is_set(bus: str, published: int, logged: Logged) -> None:
    take = queued()

    announce(
        endings(2), load({"CONNECTIONS_TABLE": "Connections", "EVENT_BUS": bus}), LOG, NO_DEADLINE
    )

    events = take()
    assert [event["detail"] for event in events] == [e.detail() for e in endings(published)]
    assert {event["detail-type"] for event in events} <= {"Connection Closed"}
    assert logged() == []


@mock_aws
def test_ends_that_could_not_be_published_are_logged_and_counted(logged: Logged) -> None:
    config = load({"CONNECTIONS_TABLE": "Connections", "EVENT_BUS": "NoSuchBus"})

    announce(endings(12), config, LOG, NO_DEADLINE)

    [line] = logged()
    assert (line["level"], line["message"]) == ("ERROR", "event not published")
    assert "ResourceNotFoundException" in line["failures"][0]
    assert assert_counts(line) == {"AnnouncementFailures": (12, "Count")}
