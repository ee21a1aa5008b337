import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import ATTEMPTS
from chalicelib.adapters.eventbridge import put_events
from tests.support.connections import NO_DEADLINE
from tests.support.event_bus import BUS, queued

TYPE = "Connection Closed"
Calls = list[list[dict[str, Any]]]


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def calls(aws: None) -> Calls:
    """Return the entries of each PutEvents call from now on."""
    assert aws is None
    made: Calls = []

    def record(params: dict[str, Any], **_: object) -> None:
        made.append(params["Entries"])

    events = aws_clients.client("events").meta.events
    events.register("provide-client-params.events.PutEvents", record)
    return made


def details(number: int) -> list[dict[str, Any]]:
    return [{"connectionId": f"{n}="} for n in range(number)]


@pytest.mark.usefixtures("aws")
def test_an_event_arrives_once_with_its_source_type_and_detail() -> None:
    published = queued()

    assert put_events(BUS, TYPE, details(1), NO_DEADLINE) == []

    [event] = published()
    assert (event["source"], event["detail-type"]) == ("incident-websocket", TYPE)
    assert event["detail"] == {"connectionId": "0="}


@pytest.mark.parametrize(
    ("number", "sizes"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])]
)
def test_ten_events_are_put_in_a_call(calls: Calls, number: int, sizes: list[int]) -> None:
    """EventBridge accepts no more."""
    queued()

    assert put_events(BUS, TYPE, details(number), NO_DEADLINE) == []

    assert [len(call) for call in calls] == sizes
    assert [json.loads(e["Detail"]) for call in calls for e in call] == details(number)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("x" * 25_000, [10, 10, 5]),
        ("x" * 100_000, [2] * 12 + [1]),
        ("\uac00" * 43_000, [2] * 12 + [1]),
    ],
)
def test_a_call_has_no_more_bytes_than_eventbridge_accepts(
    calls: Calls, text: str, sizes: list[int]
) -> None:
    """256 KB, in UTF-8. Nothing is escaped that need not be."""
    queued()

    assert put_events(BUS, TYPE, [{"message": text}] * 25, NO_DEADLINE) == []

    assert [len(call) for call in calls] == sizes
    assert max(sum(len(e["Detail"].encode()) for e in call) for call in calls) <= 256 * 1024


def test_half_of_a_surrogate_pair_is_replaced(calls: Calls) -> None:
    """JSON can hold it, UTF-8 cannot."""
    queued()

    assert put_events(BUS, TYPE, [{"message": "\ud83d"}], NO_DEADLINE) == []

    assert [json.loads(e["Detail"]) for call in calls for e in call] == [{"message": "?"}]


def test_an_accepted_call_can_contain_failed_events(calls: Calls) -> None:
    entries = [
        {"EventId": "1"},
        {"ErrorCode": "InternalFailure", "ErrorMessage": "try later"},
        {"ErrorCode": "ThrottlingException"},
        {"EventId": "4"},
    ]

    def answer(request: Any, **_: object) -> Any:
        results = entries if len(calls) == 1 else entries[1:3]
        body = json.dumps({"FailedEntryCount": 2, "Entries": results}).encode()
        headers: Any = {"Content-Type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, 200, headers, MockRawResponse(body))

    aws_clients.client("events").meta.events.register_first("before-send.events.PutEvents", answer)

    errors = put_events(BUS, TYPE, details(4), NO_DEADLINE)

    assert errors == ["InternalFailure: try later", "ThrottlingException: None"]
    assert [len(call) for call in calls] == [4, 2, 2]  # only the failed ones are repeated


def test_a_refused_call_fails_all_its_events_and_the_next_call_is_tried(calls: Calls) -> None:
    errors = put_events("NoSuchBus", TYPE, details(12), NO_DEADLINE)

    assert [len(call) for call in calls] == [10, 2]
    assert len(errors) == 12
    assert all("ResourceNotFoundException" in error for error in errors)


def test_after_a_call_without_an_answer_no_other_is_made(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")
    aws_clients.session.cache_clear()
    aws_clients.client.cache_clear()
    events = aws_clients.client("events").meta.events
    events.register("provide-client-params.events.PutEvents", lambda **_: calls.append([]))

    errors = put_events(BUS, TYPE, details(25), NO_DEADLINE)

    assert len(calls) == ATTEMPTS
    assert len(errors) == 25
    assert all("Could not connect to the endpoint URL" in error for error in errors)


def test_without_a_region_every_event_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    assert put_events(BUS, TYPE, details(2), NO_DEADLINE) == ["You must specify a region."] * 2
