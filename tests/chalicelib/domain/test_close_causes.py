import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.close_causes import Cause, Ending, cause_of
from chalicelib.domain.connection import Connection

TWO_HOURS_S = 7200.0
CODES: dict[str, tuple[int | None, ...]] = {
    "client_closed": (1000,),
    "going_away": (1001,),
    "protocol_error": (1002, 1010),
    "unsupported_data": (1003, 1007),
    "no_status": (1005,),
    "abnormal": (1006, 1015),
    "policy": (1008,),
    "too_large": (1009,),
    "server_error": (1011, 1012, 1013, 1014),
    "application": (3000, 3999, 4000, 4001, 4999),
    "unknown": (None, -1, 0, 999, 1004, 1016, 2999, 5000),
}
CASES = [(code, cause) for cause, codes in CODES.items() for code in codes]


def test_the_list_of_causes_is_complete() -> None:
    """Alarms, dashboards and other systems use the names."""
    known_to_the_server = {"max_duration", "replaced", "kicked", "expired", "silent", "orphaned"}

    assert {cause.value for cause in Cause} == CODES.keys() | known_to_the_server


@pytest.mark.parametrize(("code", "cause"), CASES)
@pytest.mark.parametrize("duration_s", [None, 0.0, 600.0, TWO_HOURS_S])
def test_the_close_code_determines_the_cause(
    code: int | None, cause: str, duration_s: float | None
) -> None:
    after_two_hours = code == 1001 and duration_s == TWO_HOURS_S

    assert cause_of(code, duration_s, None) == ("max_duration" if after_two_hours else cause)


@pytest.mark.parametrize(
    ("duration_s", "cause"),
    [(6899.9, "going_away"), (6900.0, "max_duration"), (TWO_HOURS_S + 30, "max_duration")],
)
def test_1001_after_two_hours_less_5_minutes_is_the_maximum_duration(
    duration_s: float, cause: str
) -> None:
    """API Gateway also uses 1001 for a page that was left and for ten idle minutes."""
    assert cause_of(1001, duration_s, None) == cause


@pytest.mark.parametrize("code", [code for code, _ in CASES])
@pytest.mark.parametrize("closing", ["kicked", "replaced", "expired"])
@pytest.mark.parametrize("duration_s", [None, 1.0, TWO_HOURS_S])
def test_the_stored_cause_counts_for_a_plain_close_only(
    code: int | None, closing: str, duration_s: float | None
) -> None:
    """API Gateway reports a close by the server as 1000, as if the client had closed."""
    expected = closing if code in (1000, None) else cause_of(code, duration_s, None)

    assert cause_of(code, duration_s, closing) == expected


@pytest.mark.parametrize("code", [code for code, _ in CASES])
def test_a_silent_client_may_end_with_a_code_of_the_network(code: int | None) -> None:
    """It cannot answer the close frame, so nothing promises that API Gateway reports 1000."""
    of_the_network = code in (1000, 1001, 1005, 1006, None)

    assert cause_of(code, 600.0, "silent") == (
        "silent" if of_the_network else cause_of(code, 600.0, None)
    )


def test_a_stored_cause_of_a_newer_version_is_unknown() -> None:
    assert cause_of(1000, 1.0, "sold") is Cause.UNKNOWN


@given(st.none() | st.integers(), st.none() | st.floats(0, 1e6), st.none() | st.text(max_size=10))
def test_every_end_has_a_cause(
    code: int | None, duration_s: float | None, closing: str | None
) -> None:
    assert isinstance(cause_of(code, duration_s, closing), Cause)


@pytest.mark.parametrize(
    ("connected_at", "published", "identity"), [(900, 900, "id=/900"), (None, 1000, "id=")]
)
def test_the_event_has_times_in_ms_by_the_clock_of_api_gateway_if_known(
    connected_at: int | None, published: int, identity: str
) -> None:
    connection = Connection("id=", 1000, 60, "alice", connected_at)

    assert Ending(connection, Cause.APPLICATION, 4321, 3500, 2.5).detail() == {
        "id": identity,
        "connectionId": "id=",
        "clientId": "alice",
        "cause": "application",
        "code": 4321,
        "connectedAt": published,
        "closedAt": 3500,
        "duration": 2.5,
        "reason": None,
    }
