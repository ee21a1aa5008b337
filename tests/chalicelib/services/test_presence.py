"""Who is here: an in-process DynamoDB, and a real HTTP server for `@connections`."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import pytest

from bench.fanout.signatures import Received
from chalicelib import settings
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.clock import Deadline
from chalicelib.domain.connection import Connection
from chalicelib.domain.presence import (
    MOST_CONNECTIONS,
    MOST_LOOKS,
    PAGE_CLIENTS,
    Presence,
    Question,
)
from chalicelib.handlers import connections as handler
from chalicelib.reader import ConnectionReader
from chalicelib.services.presence import Lookup
from chalicelib.store import ConnectionStore
from tests.chalicelib.handlers.test_sweep import end_of_time
from tests.conftest import Wire, store_in_use
from tests.support.connections import now_ms, tracked
from tests.support.connections_api import Answer, ConnectionsApi, api_in_use, connection_of
from tests.support.lambda_context import Context

Logged = Callable[[], list[dict[str, Any]]]
Put = Callable[..., Connection]

api = pytest.fixture(api_in_use)
connections = pytest.fixture(store_in_use)


@pytest.fixture
def put(connections: ConnectionStore, api: ConnectionsApi) -> Put:
    """Return a function that opens a connection of a client, which was active a second ago."""

    def behave(request: Received) -> Any:
        answer = api.by_state(request)
        if isinstance(answer, Answer) and answer.status == 200:
            at = active.get(connection_of(request), now_ms() - 1000)
            seen = datetime.fromtimestamp(at / 1000, UTC).isoformat()
            return Answer(200, json.dumps({"lastActiveAt": seen}).encode())
        return answer

    active: dict[str, int] = {}
    api.behave = behave

    def put(
        name: str, client_id: str, age_s: float = 300.0, *, active_at: int = 0, **fields: Any
    ) -> Connection:
        row = tracked(name, age_s, client_id=client_id, **fields)
        connections.put(row)
        api.alive.add(name)
        if active_at:
            active[name] = active_at
        return row

    return put


class Patient(ConnectionStore):
    """A store that always has time."""

    def until(self, deadline: Deadline) -> Self:
        """Return this store."""
        del deadline
        return self


def ask(*client_ids: str, seconds: float = 30.0, **fields: Any) -> dict[str, Any]:
    """Ask who is here."""
    return handler.connections({"clientIds": list(client_ids), **fields}, Context(seconds))


def named(answer: dict[str, Any]) -> list[str]:
    return [each["clientId"] for each in answer["clients"]]


def test_each_client_is_present_or_not(put: Put, api: ConnectionsApi) -> None:
    """Since its oldest connection; in the order of the question. API Gateway is not asked."""
    oldest = put("a1=", "ada", 900)
    put("a2=", "ada", 60)
    put("c=", "cy", 3 * 3600.0)
    put("e=", "eve", expires_at=1)

    assert ask("eve", "ada", "nobody", "cy") == {
        "clients": [
            {"clientId": "eve", "present": False, "since": None, "connections": 0},
            {"clientId": "ada", "present": True, "since": oldest.created_at, "connections": 2},
            {"clientId": "nobody", "present": False, "since": None, "connections": 0},
            {"clientId": "cy", "present": False, "since": None, "connections": 0},
        ],
        "after": None,
    }
    assert api.requests == []


def test_a_look_tells_the_last_activity_and_finds_who_is_gone(
    put: Put, api: ConnectionsApi
) -> None:
    """A 410 within the grace proves nothing, and neither does an error."""
    put("a1=", "ada", active_at=1_731_324_924_000)
    put("a2=", "ada", active_at=1_731_324_925_000)
    put("gone=", "gus")
    put("young=", "yan", 5)
    put("denied=", "dan")
    api.alive -= {"gone=", "young="}
    api.statuses["denied="] = 500

    answer = ask("ada", "gus", "yan", "dan", look=True)

    seen = {
        each["clientId"]: (each["present"], each["connections"], each["lastActiveAt"])
        for each in answer["clients"]
    }
    assert seen == {
        "ada": (True, 2, 1_731_324_925_000),
        "gus": (False, 0, None),
        "yan": (True, 1, None),
        "dan": (True, 1, None),
    }
    assert {method for method, _ in api.requests} == {"GET"}


def test_the_cost_is_a_query_a_client_and_with_a_look_a_get_a_connection(
    put: Put, api: ConnectionsApi, wire: Wire
) -> None:
    """Only the newest connections are looked at. Nothing is written."""
    for number in range(MOST_LOOKS + 3):
        put(f"{number}=", "ada", 300 + number)
    wire.calls.clear()

    plain = ask("ada", "bob", "cy")
    assert wire.calls == ["Query"] * 3
    assert api.requests == []
    wire.calls.clear()
    looked = ask("ada", "bob", "cy", look=True)

    assert wire.calls == ["Query"] * 3
    assert sorted(api.requests) == sorted(("GET", f"{n}=") for n in range(MOST_LOOKS))
    for answer in (plain, looked):
        assert answer["clients"][0]["connections"] == MOST_LOOKS + 3


def test_a_client_with_many_connections_is_counted_up_to_a_bound(put: Put) -> None:
    for number in range(MOST_CONNECTIONS + 5):
        put(f"{number}=", "ada")

    assert ask("ada")["clients"][0]["connections"] == MOST_CONNECTIONS


def test_many_clients_are_answered_page_by_page(put: Put, wire: Wire) -> None:
    names = [f"client{number}" for number in range(PAGE_CLIENTS + 3)]
    put("last=", names[-1])
    wire.calls.clear()

    first = ask(*names)
    second = ask(*names, after=first["after"])

    assert (named(first), first["after"]) == (names[:PAGE_CLIENTS], names[PAGE_CLIENTS - 1])
    assert (named(second), second["after"]) == (names[PAGE_CLIENTS:], None)
    assert second["clients"][-1]["present"]
    assert wire.calls == ["Query"] * len(names)


def test_when_the_time_runs_out_the_answer_says_where_to_go_on(
    put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients found until then are answered."""
    put("c=", "cy")
    end = end_of_time(monkeypatch, 3600)
    query = ConnectionReader.of_client

    def slow(self: ConnectionReader, client_id: str, *given: Any, **options: Any) -> Any:
        yield from query(self, client_id, *given, **options)
        if client_id == "bob":
            end()

    monkeypatch.setattr(ConnectionReader, "of_client", slow)

    answer = ask("ada", "bob", "cy")

    assert (named(answer), answer["after"]) == (["ada", "bob"], "bob")


def test_without_any_time_the_error_says_so(put: Put) -> None:
    put("a=", "ada")

    assert ask("ada", seconds=1.0)["error"]["code"] == "store"


def test_when_the_time_for_looks_runs_out_one_client_is_answered_at_least(
    put: Put, api: ConnectionsApi, connections: ConnectionStore
) -> None:
    """Otherwise the question would never be answered."""
    row = put("a=", "ada")
    put("b=", "bob")
    store = Patient(connections.client, connections.table, connections.deadline)
    too_soon = Deadline(time.monotonic() + ConnectionsApiClient.timeout - 0.1)

    page, after = Lookup(store, settings.load(), too_soon, now_ms()).answer(
        Question(("ada", "bob"), look=True)
    )

    assert api.requests == []
    assert (page, after) == ([Presence("ada", 1, row.created_at, None)], "ada")


def test_looks_that_are_all_denied_are_explained(
    put: Put, api: ConnectionsApi, logged: Logged
) -> None:
    put("a=", "ada")
    api.statuses["a="] = 403

    assert ask("ada", look=True)["clients"][0]["present"]
    [line] = logged()
    assert line["message"] == "every @connections request was denied"


def test_a_hanging_look_delays_the_answer_by_its_time_out_only(
    put: Put, api: ConnectionsApi
) -> None:
    put("a=", "ada")
    put("b=", "bob")
    api.silence("a=")

    answer = ask("ada", "bob", look=True)

    active = {each["clientId"]: each["lastActiveAt"] for each in answer["clients"]}
    assert active["ada"] is None
    assert active["bob"] is not None


@pytest.mark.usefixtures("connections")
def test_a_wrong_question_is_answered_with_what_is_wrong(wire: Wire, logged: Logged) -> None:
    """Nothing is read, and no failure is counted."""
    answer = ask("ada", "", look=True)

    assert answer == {
        "error": {
            "code": "invalid_request",
            "message": "clientIds[1] is ''; expected a string, not empty",
        }
    }
    assert wire.calls == []
    [line] = logged()
    assert (line["level"], line["message"]) == ("WARNING", "invalid request")
    assert "_aws" not in line
