"""What a socket and a row say about each other."""

from typing import Any

import pytest

from localgateway.console.comparison import (
    Comparison,
    Reading,
    Table,
    Verdict,
    connections_table,
    is_connection_id,
    shown_socket,
    verdict,
)
from localgateway.console.summaries import SHORT
from localgateway.observer.events import Closed, Ended, HandshakeBegan, Opened
from localgateway.observer.sockets import Socket, Sockets

ID = "abcdefghijklmno="
BEGAN = HandshakeBegan(ID, 1, "127.0.0.1", 5, "curl", {"clientId": "ada"}, None, None)
TABLE = Table("Connections", "connectionId", "ttl")
READING = 1000  # when the reading began
BEFORE, AFTER = 900, 1100
NOW_S = 50.0
ROW: Any = {"connectionId": ID, "ttl": 60}


def socket(phase: Any, since: int) -> Socket:
    return Socket(BEGAN, phase, since)


@pytest.mark.parametrize(
    ("open_socket", "row", "ended", "expected"),
    [
        (None, None, None, None),
        (socket("open", BEFORE), ROW, None, Verdict.MATCH),
        (socket("open", AFTER), ROW, None, Verdict.MATCH),
        (socket("open", BEFORE), None, None, Verdict.NO_ROW),
        (socket("open", AFTER), None, None, Verdict.SETTLING),
        (socket("connecting", BEFORE), None, None, Verdict.SETTLING),
        (socket("connecting", BEFORE), ROW, None, Verdict.SETTLING),
        (socket("closing", BEFORE), ROW, None, Verdict.SETTLING),
        (socket("closing", BEFORE), None, None, Verdict.SETTLING),
        (None, ROW, None, Verdict.NO_SOCKET),
        (None, ROW, BEFORE, Verdict.NO_SOCKET),
        (None, ROW, AFTER, Verdict.SETTLING),
        (None, {**ROW, "closing": "kicked"}, BEFORE, Verdict.NO_SOCKET),
        (socket("open", BEFORE), {**ROW, "closing": "kicked"}, None, Verdict.CLOSING),
        (socket("open", BEFORE), {**ROW, "ttl": 40}, None, Verdict.EXPIRED),
        (socket("open", BEFORE), {**ROW, "ttl": "40"}, None, Verdict.MATCH),
        (socket("open", BEFORE), {**ROW, "ttl": True}, None, Verdict.MATCH),
        (socket("open", BEFORE), {"connectionId": ID}, None, Verdict.MATCH),
    ],
)
def test_a_verdict(open_socket: Socket | None, row: Any, ended: int | None, expected: Any) -> None:
    """What a reading may have missed, because it began before the last change, is settling."""
    assert verdict(open_socket, row, ended, READING, NOW_S, "ttl") == expected


def test_long_texts_of_a_client_are_cut() -> None:
    """All connections are in the page's state, with what their clients sent."""
    long = "x" * 7000
    began = HandshakeBegan(ID, 1, "::1", 5, long, {"clientId": long}, long, long)

    shown = shown_socket(Socket(began, "open", 1))

    texts = (shown["userAgent"], shown["query"]["clientId"], shown["subprotocols"], shown["origin"])
    assert [len(text) for text in texts] == [SHORT + 1] * 4


def test_without_a_time_to_live_no_row_expires() -> None:
    row = {**ROW, "ttl": 40}

    assert verdict(socket("open", BEFORE), row, None, READING, NOW_S, None) is Verdict.MATCH


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([], None),
        ([{"name": "a", "keys": ["pk", "sk"], "ttl": None}], None),
        (
            [
                {"name": "a", "keys": ["stream", "seq"], "ttl": "ttl"},
                {"name": "b", "keys": ["connection_id"], "ttl": "until"},
            ],
            Table("b", "connection_id", "until"),
        ),
        (
            [
                {"name": "a", "keys": ["connectionKey"], "ttl": None},
                {"name": "b", "keys": ["user", "ConnectionId"], "ttl": None},
            ],
            Table("b", "ConnectionId", None),
        ),
        ([{"name": "a", "keys": ["wsConnection"], "ttl": None}], Table("a", "wsConnection", None)),
    ],
)
def test_the_connections_table_is_known_by_its_key(tables: Any, expected: Table | None) -> None:
    assert connections_table(tables) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [(ID, True), ("Iz-9_abcdefghijk=", True), ("#sweep", False), ("ada", False), (5, False)],
)
def test_a_row_of_something_else_is_none_of_a_connection(key: object, expected: bool) -> None:
    assert is_connection_id(key) is expected


def test_a_dropped_disconnect_becomes_a_disagreement_with_the_next_reading() -> None:
    """And none once the row is gone."""
    sockets = Sockets()
    comparison = Comparison(sockets)
    comparison.table = TABLE
    seen: list[Any] = []

    def look(reading: Reading | None = None) -> None:
        comparison.reading = reading or comparison.reading
        comparison.update(comparison.everything(), NOW_S)
        seen.append((comparison.verdicts.get(ID), comparison.disagreements()))

    sockets.apply(BEGAN, 10)
    look()
    sockets.apply(Opened(ID, None, 1.0), 20)
    look(Reading({ID: ROW}, 30))
    sockets.apply(Closed(ID, 1000, "", 1.0), 40)
    look()
    sockets.apply(Ended(ID, "dropped"), 50)
    look()
    look(Reading({ID: ROW}, 60))
    look(Reading({}, 70))

    assert seen == [
        (Verdict.SETTLING, 0),
        (Verdict.MATCH, 0),
        (Verdict.SETTLING, 0),
        (Verdict.SETTLING, 0),
        (Verdict.NO_SOCKET, 1),
        (None, 0),
    ]


def test_only_changed_verdicts_are_returned() -> None:
    sockets = Sockets()
    comparison = Comparison(sockets)
    sockets.apply(BEGAN, 10)

    assert comparison.update({ID}, NOW_S) == {ID}
    assert comparison.update({ID}, NOW_S) == set()
    assert comparison.pair(ID)["socket"]["query"] == {"clientId": "ada"}
