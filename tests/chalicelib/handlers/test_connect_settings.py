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
