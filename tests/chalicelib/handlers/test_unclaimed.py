"""The function `unclaimed`: from a message of the queue to the events."""

from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.adapters import aws_clients
from chalicelib.claims import Claims
from chalicelib.domain.errors import (
    AnnouncementError,
    HistoryError,
    QueuedMessageError,
    SettingsError,
)
from chalicelib.domain.unclaimed import CLIENTS_A_MESSAGE, Queued, Waiting
from chalicelib.handlers.unclaimed import DETAIL_TYPE
from chalicelib.history import History
from tests.conftest import HISTORY, TABLE, Wire
from tests.support.connections import NO_DEADLINE, now_ms
from tests.support.event_bus import BUS, listen
from tests.support.lambda_context import Context
from tests.support.sqs import sqs_event

Logged = Callable[[], list[dict[str, Any]]]
Published = Callable[[], list[dict[str, Any]]]

ADA = Waiting("ada", 5, is_posted=False)
BOB = Waiting("bob", 6, is_posted=True)
CYD = Waiting("cyd", None, is_posted=False)


@pytest.fixture
def claims(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Claims:
    """Return the claims in an empty history that the function uses."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    monkeypatch.setenv("HISTORY_TABLE", HISTORY)
    return Claims(History(dynamodb, HISTORY, NO_DEADLINE), 3600)


@pytest.fixture
def published(claims: Claims, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Have the function publish events, and return a function that takes their details."""
    del claims
    monkeypatch.setenv("EVENT_BUS", BUS)
    return listen(DETAIL_TYPE)


def queued(*clients: Waiting, receipt: bool = False) -> Queued:
    """Return a message of the queue."""
    return Queued("id", 1731324924561, "Database down", {"incident": 4711}, receipt, clients)


def look(message: Queued, seconds: float = 30.0) -> Any:
    """Invoke the function with a message."""
    return app.unclaimed(sqs_event(message.to_text()), Context(seconds))


def test_who_has_not_claimed_a_notification_is_announced(
    claims: Claims, published: Published, logged: Logged
) -> None:
    """With what it said; the log has a line and a metric for each client, without the message."""
    claims.hand_out("bob", 6, now_ms())

    report = look(queued(ADA, BOB, CYD))

    assert report == {"id": "id", "announced": 2, "claimed": 1}
    common = {
        "id": "id",
        "sentAt": 1731324924561,
        "subject": "Database down",
        "message": {"incident": 4711},
        "why": "not connected",
    }
    assert sorted(published(), key=str) == sorted(
        ({**common, "clientId": "ada", "seq": 5}, {**common, "clientId": "cyd", "seq": None}),
        key=str,
    )
    *each, last = logged()
    assert [(line["message"], line["clientId"], line["Unclaimed"]) for line in each] == [
        ("nobody home", "ada", 1),
        ("nobody home", "cyd", 1),
    ]
    assert "4711" not in str(each)
    assert last["message"] == "looked after"


@pytest.mark.parametrize(
    ("claim", "told"), [(None, "not received"), ("hand_out", "not received"), ("receive", None)]
)
def test_with_a_receipt_only_an_acknowledgement_counts(
    claims: Claims, published: Published, claim: str | None, told: str | None
) -> None:
    """A post that API Gateway took proves nothing of a dead connection."""
    if claim:
        getattr(claims, claim)("bob", 6, now_ms())

    look(queued(BOB, receipt=True))

    assert [detail["why"] for detail in published()] == ([told] if told else [])


def test_a_message_costs_one_call_of_each_service(
    claims: Claims, published: Published, wire: Wire
) -> None:
    """Claims of all of its clients are read at once, and ten events put at once."""
    names = [Waiting(f"client-{n}", n + 1, is_posted=False) for n in range(CLIENTS_A_MESSAGE)]
    claims.hand_out("client-0", 1, now_ms())
    puts: list[int] = []
    events = aws_clients.client("events").meta.events
    events.register(
        "provide-client-params.events.PutEvents",
        lambda params, **_: puts.append(len(params["Entries"])),
    )

    report = look(queued(*names))

    assert report["announced"] == len(published()) == 99
    assert wire.calls == ["BatchGetItem"]
    assert puts == [10] * 9 + [9]


def test_nothing_is_read_for_what_is_not_recorded(published: Published, wire: Wire) -> None:
    look(queued(CYD))

    assert [detail["clientId"] for detail in published()] == ["cyd"]
    assert wire.calls == []


def test_without_a_history_everybody_in_the_queue_is_announced(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was switched off meanwhile: better once too often."""
    monkeypatch.setenv("HISTORY_TABLE", "")

    assert look(queued(ADA))["announced"] == len(published()) == 1


@pytest.mark.usefixtures("claims")
def test_without_a_bus_the_log_and_the_metric_remain(logged: Logged) -> None:
    assert look(queued(ADA))["announced"] == 1

    assert [line.get("Unclaimed") for line in logged()] == [1, None]


def test_an_event_that_is_not_published_fails_the_message(
    claims: Claims, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS shows it again, and nothing counts as announced."""
    del claims
    monkeypatch.setenv("EVENT_BUS", "Missing")

    with pytest.raises(AnnouncementError):
        look(queued(ADA, BOB))

    first, last = logged()
    assert (first["message"], first["AnnouncementFailures"]) == ("event not published", 2)
    assert last["message"] == "unclaimed failed"


def test_a_claim_that_cannot_be_read_fails_the_message(
    published: Published, wire: Wire, logged: Logged
) -> None:
    """Nobody is announced who may have claimed it."""
    wire.errors["BatchGetItem"] = (400, "AccessDeniedException")

    with pytest.raises(HistoryError):
        look(queued(ADA))

    assert published() == []
    assert logged()[-1]["message"] == "unclaimed failed"


def test_without_time_nothing_is_begun(published: Published) -> None:
    with pytest.raises(HistoryError):
        look(queued(ADA), seconds=1.0)

    assert published() == []


@pytest.mark.usefixtures("claims")
@pytest.mark.parametrize(
    "event", [sqs_event("hello"), sqs_event(), sqs_event("a", "b"), {}, {"Records": [{}]}]
)
def test_an_invalid_message_is_an_error(event: dict[str, Any], logged: Logged) -> None:
    """It ends in the failure queue, where a person looks at it."""
    with pytest.raises(QueuedMessageError):
        app.unclaimed(event, Context())

    [line] = logged()
    assert (line["level"], line["errorType"]) == ("ERROR", "QueuedMessageError")


@pytest.mark.usefixtures("claims")
def test_an_invalid_setting_fails_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNCLAIMED_SECONDS", "1")

    with pytest.raises(SettingsError):
        look(queued(ADA))
