"""What settings change in the answer and the log line of a handshake."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.embedded_metrics import assert_counts
from tests.support.events import connect_event

Invoke = Callable[..., Any]
Logged = Callable[[], list[dict[str, Any]]]


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("offered", "setting", "selected"),
    [
        ("bearer, secret", "", "bearer"),
        ("bearer, secret", "chat", "bearer"),
        ("chat", "chat, soap", "chat"),
        ("chat", "", None),
    ],
)
def test_the_answer_selects_an_offered_subprotocol(
    invoke: Invoke, logged: Logged, offered: str, setting: str, selected: str | None
) -> None:
    """Without an issuer, too; nothing that was offered is logged."""
    event = connect_event(headers={"Sec-WebSocket-Protocol": [offered]})

    response = invoke("connect", event, SUBPROTOCOLS=setting)

    expected = {} if selected is None else {"Sec-WebSocket-Protocol": selected}
    assert (response["statusCode"], response["headers"]) == (200, expected)
    assert "secret" not in str(logged())


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize("level", ["WARNING", "CRITICAL"])
def test_a_higher_log_level_loses_no_metric(invoke: Invoke, logged: Logged, level: str) -> None:
    invoke("connect", connect_event(), LOG_LEVEL=level)

    [line] = logged()
    assert assert_counts(line) == {"Opened": (1, "Count")}
    assert "row" not in line


@pytest.mark.usefixtures("dynamodb")
def test_the_row_can_be_left_out_of_the_log_line(invoke: Invoke, logged: Logged) -> None:
    event = connect_event(query={"clientId": ["alice"]})

    invoke("connect", event, LOG_CONNECTION_ROWS="false")

    [line] = logged()
    assert line["message"] == "connected"
    assert "row" not in line
    assert line["clientId"] == "alice"
    assert assert_counts(line) == {"Opened": (1, "Count")}


@pytest.mark.usefixtures("dynamodb")
@pytest.mark.parametrize(
    ("authorizer", "status", "client_id"),
    [({"principalId": "alice"}, 200, "alice"), ({"principalId": ""}, 500, None), (None, 500, None)],
)
def test_an_authorizer_names_the_client(
    invoke: Invoke,
    logged: Logged,
    authorizer: dict[str, str] | None,
    status: int,
    client_id: str | None,
) -> None:
    """A handshake that the authorizer does not name is refused and counted as a fault of ours."""
    event = connect_event()
    if authorizer is not None:
        event["requestContext"]["authorizer"] = authorizer

    response = invoke("connect", event, AUTHORIZER_CLIENT="principalId")

    [line] = logged()
    assert response["statusCode"] == status
    assert line.get("cause") == (None if client_id else "settings")
    assert line.get("row", {}).get("clientId") == client_id
