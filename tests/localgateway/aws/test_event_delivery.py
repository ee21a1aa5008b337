"""Events of the embedded EventBridge that run functions, through boto3."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.localgateway.support import Gateway, Told


def of(mark: str, kind: str) -> Any:
    """Select the reports of an event."""

    def found(told: Told) -> bool:
        return told.kind == kind and told.content["detail"].get("id") == mark

    return found


def put(gateway: Gateway, *details: dict[str, str], **other: str) -> None:
    """Put events of the source `sample`."""
    events = gateway.session().client("events", endpoint_url=gateway.engine)
    entry = {"Source": "sample", "DetailType": "Sample", **other}
    answer = events.put_events(
        Entries=[{**entry, "Detail": json.dumps(detail)} for detail in details]  # type: ignore[typeddict-item]
    )
    assert answer["FailedEntryCount"] == 0


def test_an_event_runs_the_functions_whose_pattern_it_matches(gateway: Gateway) -> None:
    """With the fields of AWS's event, and only on the default bus."""
    mark, other = str(uuid4()), str(uuid4())

    put(gateway, {"id": other, "level": "low"}, {"id": mark, "level": "high"})

    [told] = gateway.recorder.wait(of(mark, "event"))
    event = told.content
    assert event.pop("id")
    moment = datetime.strptime(event.pop("time"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert event == {
        "version": "0",
        "detail-type": "Sample",
        "source": "sample",
        "account": "123456789012",
        "region": "us-east-1",
        "resources": [],
        "detail": {"id": mark, "level": "high"},
    }
    assert not gateway.recorder.all(of(other, "event"))
    assert not gateway.recorder.all(of(mark, "ruled"))


def test_a_rule_of_the_resources_file_runs_its_function(gateway: Gateway) -> None:
    """On the bus that it names, whatever the decorators match."""
    mark = str(uuid4())

    put(gateway, {"id": mark, "level": "high"}, EventBusName="Sample-dev")

    gateway.recorder.wait(of(mark, "ruled"))
    assert not gateway.recorder.all(of(mark, "event"))
