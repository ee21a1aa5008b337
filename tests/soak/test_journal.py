"""Records from lines of the log, as the gateway and the functions write them."""

import json
from typing import Any

from tests.soak.journal import Interruption, Journal, Socket

NOON = 1_795_867_200.0  # 2026-11-28T12:00:00Z


def line(second: int, message: str, level: str = "INFO", **fields: Any) -> str:
    timestamp = f"2026-11-28T12:00:{second:02}.000+00:00"
    return json.dumps({"timestamp": timestamp, "level": level, "message": message, **fields})


def by_function(second: int, message: str, **fields: Any) -> str:
    return line(second, message, requestId="r", function="f", **fields)


def test_the_life_of_a_connection() -> None:
    journal = Journal()

    journal.read(by_function(1, "connected", connectionId="a", row={"clientId": "ada"}))
    journal.read(line(2, "opened", connectionId="a"))
    journal.read(line(9, "closed", connectionId="a"))
    journal.read(by_function(10, "row not removed", orphanId="a"))
    journal.read(by_function(11, "orphan removed", orphanId="a", clientId="ada", Closed=1))

    assert journal.sockets == {"a": Socket(NOON + 2, NOON + 9)}
    assert (journal.clients, journal.connected) == ({"a": "ada"}, {"a": NOON + 1})
    assert journal.failed == {"a": NOON + 10}
    assert journal.ends == {"a": [NOON + 11]}
    assert journal.open_at(NOON + 2, NOON + 9) == {"a"}
    assert journal.open_at(NOON + 1, NOON + 9) == set()
    assert journal.open_at(NOON + 2, NOON + 10) == set()


def test_an_end_that_is_told_without_its_client_is_a_guess() -> None:
    journal = Journal(clients={"a": "ada"})

    journal.read(by_function(1, "disconnected", connectionId="a", clientId="ada", Closed=1))
    journal.read(by_function(2, "orphan removed", orphanId="a", clientId="unknown", Closed=1))

    assert (journal.ends, journal.guesses) == ({"a": [NOON + 1]}, {"a": [NOON + 2]})


def test_a_client_that_left_during_its_handshake_has_a_connection() -> None:
    journal = Journal()

    journal.read(line(3, "closed", connectionId="a"))

    assert journal.sockets == {"a": Socket(NOON + 3, NOON + 3)}


def test_the_end_of_a_gateway_ends_its_connections() -> None:
    journal = Journal({"a": Socket(1), "b": Socket(1, 2)})

    journal.stopped(5, killed=True)

    assert journal.sockets == {"a": Socket(1, 5), "b": Socket(1, 2)}
    assert journal.interruptions == [Interruption(5, "gateway")]


def test_refusals_failures_and_reports() -> None:
    journal = Journal()

    journal.read(line(1, "handshake refused", "WARNING", connectionId="a", status=502))
    journal.read(line(1, "handshake refused", "WARNING", connectionId="b", status=429))
    journal.read(line(2, "invoked", function="sweep", status="timeout"))
    journal.read(line(2, "invoked", function="notify", status="ok"))
    journal.read("Traceback (most recent call last):")
    journal.read('{"timestamp": "2026-11')

    assert journal.refused == {"a"}
    assert journal.interruptions == [Interruption(NOON + 2, "sweep")]
    assert journal.messages["WARNING handshake refused"] == 2
    assert journal.unread == ["Traceback (most recent call last):", '{"timestamp": "2026-11']
