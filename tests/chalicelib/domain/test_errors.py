"""Messages and attributes of the application's errors. Alarms and dashboards use the reasons."""

from typing import Any

import pytest

from chalicelib.domain import errors
from chalicelib.domain.errors import RegistryError

WRITTEN = {"connectionId": "a=", "ttl": 1}
CASES: list[tuple[RegistryError, str, str, dict[str, Any]]] = [
    (
        errors.SettingsError("TTL_HOURS", "abc", "hours"),
        "settings",
        "TTL_HOURS is 'abc'; expected hours",
        {"variable": "TTL_HOURS", "value": "abc", "expected": "hours", "problem": ""},
    ),
    (
        errors.SettingsError("TABLE", None, "a name"),
        "settings",
        "TABLE is not set; expected a name",
        {"variable": "TABLE", "value": None, "expected": "a name", "problem": ""},
    ),
    (
        errors.SettingsError("ORIGINS", "*", "origins", "matches nothing"),
        "settings",
        "ORIGINS is '*'; expected origins (matches nothing)",
        {"variable": "ORIGINS", "value": "*", "expected": "origins", "problem": "matches nothing"},
    ),
    (
        errors.EventError("body", 7, "a string"),
        "event",
        "body is 7; expected a string",
        {"field": "body", "value": 7, "expected": "a string"},
    ),
    (
        errors.ForeignEventError(None),
        "event",
        "requestContext is None; expected an event of an API Gateway WebSocket API",
        {
            "field": "requestContext",
            "value": None,
            "expected": "an event of an API Gateway WebSocket API",
        },
    ),
    (
        errors.StoreError("PutItem", "Rows", "Throttled", "slow down"),
        "store",
        "PutItem on table 'Rows' failed: Throttled: slow down",
        {
            "operation": "PutItem",
            "table": "Rows",
            "code": "Throttled",
            "cause": "slow down",
            "uncertain": False,
            "repeated": False,
            "item": None,
        },
    ),
    (
        errors.SweepActiveError(),
        "error",
        "another run of the sweep is active; its lease is in the row #sweep",
        {},
    ),
    (
        errors.MalformedRowError("a=", "ttl", None, "a number"),
        "unverified",
        "row of connection 'a=': attribute 'ttl' is missing; expected a number",
        {"connection_id": "a=", "attribute": "ttl", "value": None, "expected": "a number"},
    ),
    (
        errors.MalformedRowError("a=", "ttl", {"S": "7"}, "a number"),
        "unverified",
        "row of connection 'a=': attribute 'ttl' is {'S': '7'}; expected a number",
        {"connection_id": "a=", "attribute": "ttl", "value": {"S": "7"}, "expected": "a number"},
    ),
    (
        errors.UnverifiedError(WRITTEN, None),
        "unverified",
        "row mismatch: wrote {'connectionId': 'a=', 'ttl': 1}, read no row",
        {"written": WRITTEN, "stored": None},
    ),
    (
        errors.UnverifiedError(WRITTEN, {"ttl": 2}),
        "unverified",
        "row mismatch: wrote {'connectionId': 'a=', 'ttl': 1}, read {'ttl': 2}",
        {"written": WRITTEN, "stored": {"ttl": 2}},
    ),
    (
        errors.TokenError("ExpiredSignatureError"),
        "error",
        "invalid token: ExpiredSignatureError",
        {"check": "ExpiredSignatureError"},
    ),
    (
        errors.KeysUnavailableError("https://a", "timed out"),
        "error",
        "could not fetch keys from 'https://a': timed out",
        {"address": "https://a", "cause": "timed out"},
    ),
    (
        errors.NotificationError("n", "too large"),
        "error",
        "notification 'n': too large",
        {"notification_id": "n", "problem": "too large"},
    ),
    (
        errors.ContinuationError("n", "no answer"),
        "error",
        "delivery of notification 'n' stopped: no answer",
        {"notification_id": "n", "cause": "no answer"},
    ),
    (
        errors.HistoryError("Query", "History", "Throttled", "slow down", is_contended=True),
        "error",
        "Query on table 'History' failed: Throttled: slow down",
        {
            "operation": "Query",
            "table": "History",
            "code": "Throttled",
            "cause": "slow down",
            "is_lost": False,
            "is_contended": True,
        },
    ),
    (
        errors.QueueError("SendMessage", "Q", "AccessDenied", "no"),
        "error",
        "SendMessage on queue 'Q' failed: AccessDenied: no",
        {"operation": "SendMessage", "queue": "Q", "code": "AccessDenied", "cause": "no"},
    ),
    (
        errors.QueuedMessageError("hello"),
        "error",
        "the message is 'hello'; expected "
        '{"type": "unclaimed", "id": …, "clients": [[clientId, seq, isPosted], …], …}, '
        "as notify sends it",
        {"text": "hello"},
    ),
    (
        errors.AnnouncementError("n", ["InternalFailure: no", "b"]),
        "error",
        "notification 'n': 2 events not published; the first: InternalFailure: no",
        {"notification_id": "n", "failures": ["InternalFailure: no", "b"]},
    ),
    (
        errors.UnsettledError("all", 7),
        "error",
        "entry 7 of stream 'all' does not show yet",
        {"stream": "all", "seq": 7},
    ),
    (
        errors.RequestError("last", 51, "an integer from 0 to 50", 3),
        "error",
        "last is 51; expected an integer from 0 to 50",
        {"field": "last", "value": 51, "expected": "an integer from 0 to 50", "n": 3},
    ),
]


@pytest.mark.parametrize(("error", "reason", "message", "data"), CASES)
def test_an_error_has_a_reason_a_message_and_its_data(
    error: RegistryError, reason: str, message: str, data: dict[str, Any]
) -> None:
    assert error.reason == reason
    assert str(error) == message
    assert vars(error) == data
    assert error.args == tuple(data.values())[: len(error.args)]


def leaves(kind: type[RegistryError]) -> set[type[RegistryError]]:
    """Return the errors below a base class that are not themselves the base of others."""
    below = kind.__subclasses__()
    return set().union(*map(leaves, below)) if below else {kind}


def test_every_error_has_a_case() -> None:
    assert {type(case[0]) for case in CASES} >= leaves(RegistryError)
