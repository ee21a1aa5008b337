"""Events as the page shows them."""

from typing import Any

import pytest

from localgateway.console.summaries import SHORT, details, summary
from localgateway.observer.events import (
    ConnectionsCall,
    Event,
    Finished,
    HandshakeBegan,
    Logged,
    Refused,
    Replied,
    Reported,
    Started,
)
from localgateway.observer.observer import Entry

ID = "abcdefghijklmno="
MESSAGE = "c7047550-e6ff-4e87-a6d6-db29aa6a3069"


def short(event: Event) -> dict[str, Any]:
    """Return the summary without what all have."""
    return {k: v for k, v in summary(Entry(7, 8, event)).items() if k not in ("seq", "at", "kind")}


def test_each_summary_has_number_time_and_kind() -> None:
    shown = summary(Entry(7, 8, Replied(ID, b"hi")))

    assert (shown["seq"], shown["at"], shown["kind"]) == (7, 8, "replied")


@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [
        (b'{"result": {"headers": {}, "statusCode": 403, "body": "x"}}', "ok", {"code": 403}),
        (b'{"result": {"statusCode": 200}}', "ok", {"code": 200}),
        (rb'{"result": {"body": "{\"statusCode\": 500}"}}', "ok", {}),
        (b'{"error": "Traceback\\nValueError: no"}', "error", {"error": "ValueError: no"}),
        (b"", "timeout", {}),
        (b'{"error": "cut of', "error", {}),
    ],
)
def test_the_answer_of_a_function_is_a_code_or_an_error(
    result: bytes, status: str, expected: Any
) -> None:
    shown = short(Finished(1, "connect", status, 1.0, True, 5, result))

    assert {key: shown[key] for key in ("code", "error") if key in shown} == expected
    assert "result" not in shown


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        (b'{"level": "INFO", "message": "connected", "a": 1}', "INFO", "connected"),
        (b"plain text", "", "plain text"),
        (b"[ERROR] Traceback", "ERROR", "[ERROR] Traceback"),
        (b'{"message": 5}', "", '{"message": 5}'),
        (b"\xff", "", "\ufffd"),
    ],
)
def test_a_log_line_has_level_and_message(line: bytes, level: str, message: str) -> None:
    shown = short(Logged(1, "connect", line))

    assert (shown["level"], shown["message"]) == (level, message)


@pytest.mark.parametrize(
    ("source", "route", "event", "text"),
    [
        ("websocket", "$default", b'{"body": "hello"}', "hello"),
        ("websocket", "$default", b'{"body": null}', None),
        ("websocket", "$default", b'{"body": "cut of', None),
        ("websocket", "$connect", b'{"body": "x"}', None),
        ("invoke", None, b'{"body": "x"}', None),
    ],
)
def test_a_message_of_a_client_is_shown(
    source: str, route: str | None, event: bytes, text: str | None
) -> None:
    assert short(Started(1, "message", source, route, ID, None, event)).get("text") == text


def test_a_post_names_the_notifications_in_it() -> None:
    text = b'{"id": "%b", "message": "%b"}' % (MESSAGE.encode(), b"x" * 1000)

    shown = short(ConnectionsCall(ID, "POST", 200, 0.5, text))

    assert shown["ids"] == [MESSAGE]
    assert len(shown["text"]) == SHORT + 1


def test_fields_of_reports_are_cut() -> None:
    shown = short(Reported("published", {"message": "x" * 1000, "id": MESSAGE}))

    assert len(shown["fields"]["message"]) == SHORT + 1
    assert shown["fields"]["id"] == MESSAGE


def test_a_handshake_shows_what_the_client_sent() -> None:
    shown = short(HandshakeBegan(ID, 1, "::1", 5, "<b>", {"clientId": "ada"}, "v1", None))

    assert (shown["userAgent"], shown["query"]) == ("<b>", {"clientId": "ada"})


def test_long_texts_of_a_handshake_are_cut() -> None:
    long = "x" * 7000

    shown = short(HandshakeBegan(ID, 1, "::1", 5, long, {"clientId": long}, long, long))
    refused = short(Refused(ID, 403, long, 1.0))

    texts = [shown["userAgent"], shown["query"]["clientId"], shown["subprotocols"]]
    assert [len(text) for text in (*texts, shown["origin"], refused["cause"])] == [SHORT + 1] * 5


def test_details_of_an_invocation_have_event_answer_and_lines() -> None:
    entries = [
        Entry(1, 1, Started(4, "connect", "websocket", "$connect", ID, None, b'{"a": 1}')),
        Entry(2, 2, Logged(4, "connect", b"said")),
        Entry(3, 3, Finished(4, "connect", "ok", 1.0, True, 5, b'{"result": 1}')),
    ]

    for entry in entries:
        assert details(entry, entries) == {
            "event": '{"a": 1}',
            "result": '{"result": 1}',
            "lines": [{"at": 2, "text": "said"}],
        }


def test_details_of_others_have_all_fields() -> None:
    entry = Entry(1, 1, ConnectionsCall(ID, "POST", 410, 0.5, b"x" * 1000))

    fields = details(entry, [entry])["fields"]

    assert fields["text"] == "x" * 1000
    assert fields["status"] == 410
