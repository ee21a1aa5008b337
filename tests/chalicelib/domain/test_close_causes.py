"""Why a connection ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.close_causes import Cause, Ending, cause_of
from chalicelib.domain.connection import Connection

TWO_HOURS_S = 7200.0

CODES = [
    (1000, "client_closed"),
    (1001, "going_away"),
    (1002, "protocol_error"),
    (1003, "unsupported_data"),
    (1004, "unknown"),
    (1005, "no_status"),
    (1006, "abnormal"),
    (1007, "unsupported_data"),
    (1008, "policy"),
    (1009, "too_large"),
    (1010, "protocol_error"),
    (1011, "server_error"),
    (1012, "server_error"),
    (1013, "server_error"),
    (1014, "server_error"),
    (1015, "abnormal"),
    (1016, "unknown"),
    (2999, "unknown"),
    (3000, "unknown"),
    (3999, "unknown"),
    (4000, "application"),
    (4001, "application"),
    (4999, "application"),
    (5000, "unknown"),
    (0, "unknown"),
    (-1, "unknown"),
    (999, "unknown"),
    (None, "unknown"),
]


def test_the_list_of_causes_is_closed() -> None:
    """Alarms, dashboards and other systems name them."""
    assert {cause.value for cause in Cause} == {
        "client_closed",
        "going_away",
        "max_duration",
        "no_status",
        "abnormal",
        "protocol_error",
        "unsupported_data",
        "policy",
        "too_large",
        "server_error",
        "application",
        "replaced",
        "kicked",
        "orphaned",
        "unknown",
    }


@pytest.mark.parametrize(("code", "cause"), CODES)
@pytest.mark.parametrize("duration_s", [None, 0.0, 600.0])
def test_the_close_code_tells_the_cause(
    code: int | None, cause: str, duration_s: float | None
) -> None:
    """When the server did not close it, and it did not last two hours."""
    assert cause_of(code, duration_s, None) == cause


@pytest.mark.parametrize(
    ("duration_s", "cause"),
    [
        (None, "going_away"),
        (0.0, "going_away"),
        (600.0, "going_away"),
        (6899.9, "going_away"),
        (6900.0, "max_duration"),
        (TWO_HOURS_S - 1, "max_duration"),
        (TWO_HOURS_S, "max_duration"),
        (TWO_HOURS_S + 30, "max_duration"),
    ],
)
def test_going_away_after_about_two_hours_is_the_quota(
    duration_s: float | None, cause: str
) -> None:
    """API Gateway uses one code for a page that was left, ten idle minutes and two hours."""
    assert cause_of(1001, duration_s, None) == cause


@pytest.mark.parametrize(("code", "cause"), [row for row in CODES if row[0] != 1001])
def test_another_code_after_two_hours_keeps_its_cause(code: int | None, cause: str) -> None:
    """Only 1001 is what the quota ends with."""
    assert cause_of(code, TWO_HOURS_S, None) == cause


@pytest.mark.parametrize("intent", ["kicked", "replaced"])
@pytest.mark.parametrize("code", [1000, None])
@pytest.mark.parametrize("duration_s", [None, 1.0, TWO_HOURS_S])
def test_the_server_s_intent_explains_a_plain_close(
    intent: str, code: int | None, duration_s: float | None
) -> None:
    """API Gateway reports the server's close as 1000, as if the client had closed."""
    assert cause_of(code, duration_s, intent) == intent


@pytest.mark.parametrize(("code", "cause"), [row for row in CODES if row[0] not in (1000, None)])
def test_an_intent_does_not_explain_another_code(code: int, cause: str) -> None:
    """The close failed, and the connection ended otherwise later."""
    assert cause_of(code, 1.0, "kicked") == cause


def test_an_intent_that_is_not_known_is_no_cause() -> None:
    """A newer version may have written it; the list stays closed."""
    assert cause_of(1000, 1.0, "sold") is Cause.UNKNOWN


@given(st.none() | st.integers(), st.none() | st.floats(0, 1e6), st.none() | st.text(max_size=10))
def test_every_end_has_a_cause(
    code: int | None, duration_s: float | None, closing: str | None
) -> None:
    """Nothing that an event or a row can hold makes it fail."""
    assert isinstance(cause_of(code, duration_s, closing), Cause)


@pytest.mark.parametrize(("connected_at", "told"), [(900, 900), (None, 1000)])
def test_an_end_is_told_in_ms_and_seconds(connected_at: int | None, told: int) -> None:
    """By API Gateway's own clock where the row has it; and the application's code is kept."""
    connection = Connection("id=", 1000, 60, "alice", connected_at)

    detail = Ending(connection, Cause.APPLICATION, 4321, 3500, 2.5).detail()

    assert detail == {
        "connectionId": "id=",
        "clientId": "alice",
        "cause": "application",
        "code": 4321,
        "connectedAt": told,
        "closedAt": 3500,
        "duration": 2.5,
    }
