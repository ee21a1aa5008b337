"""The settings: what is accepted, and what a wrong value is told."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import SettingsError
from chalicelib.settings import LOG_LEVELS, MAX_TTL_HOURS, Settings, load

TABLE = {"CONNECTIONS_TABLE": "Connections"}


def test_only_the_table_has_no_default() -> None:
    """One variable is enough."""
    assert load(TABLE) == Settings("Connections", ttl_seconds=86_400, log_level="INFO")


@pytest.mark.parametrize(
    ("hours", "seconds"),
    [
        ("24", 86_400),
        ("1", 3600),
        ("0.5", 1800),
        (" 2 ", 7200),
        ("1e-9", 1),
        ("876000", 3153600000),
    ],
)
def test_ttl_hours_are_turned_into_whole_seconds(hours: str, seconds: int) -> None:
    """Fractions of an hour count, and never come to less than a second."""
    assert load(TABLE | {"TTL_HOURS": hours}).ttl_seconds == seconds


@pytest.mark.parametrize(
    "hours", ["", "0", "-1", "nan", "inf", "-inf", "1e999", "876001", "24h", "0x10", "1,5"]
)
def test_other_ttl_hours_are_refused(hours: str) -> None:
    """The error names the variable, the value seen and what is accepted."""
    with pytest.raises(SettingsError) as caught:
        load(TABLE | {"TTL_HOURS": hours})

    assert str(caught.value) == (
        f"TTL_HOURS is {hours!r}; accepted is a positive number of hours, at most {MAX_TTL_HOURS}"
    )


@given(st.floats(min_value=1e-6, max_value=MAX_TTL_HOURS))
def test_every_number_of_hours_in_range_is_accepted(hours: float) -> None:
    """The row lives at least as long as asked for, and less than a second longer."""
    seconds = load(TABLE | {"TTL_HOURS": repr(hours)}).ttl_seconds

    assert hours * 3600 <= seconds < hours * 3600 + 1


@given(st.text())
def test_any_text_is_a_good_ttl_or_a_settings_error(text: str) -> None:
    """Nothing else can come out of a variable that anybody may have typed."""
    with contextlib.suppress(SettingsError):
        assert 0 < load(TABLE | {"TTL_HOURS": text}).ttl_seconds <= MAX_TTL_HOURS * 3600


@pytest.mark.parametrize("environ", [{}, {"CONNECTIONS_TABLE": ""}, {"CONNECTIONS_TABLE": "  "}])
def test_a_missing_table_is_refused(environ: dict[str, str]) -> None:
    """An empty value is as good as none."""
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_TABLE is .*; accepted is the name of"):
        load(environ)


@pytest.mark.parametrize("level", [*LOG_LEVELS, "info", " Debug "])
def test_log_levels_are_accepted_in_any_case(level: str) -> None:
    """The level comes out as `logging` names it."""
    assert load(TABLE | {"LOG_LEVEL": level}).log_level == level.strip().upper()


@pytest.mark.parametrize("level", ["", "TRACE", "10"])
def test_other_log_levels_are_refused(level: str) -> None:
    """The error lists the levels."""
    with pytest.raises(SettingsError, match=r"LOG_LEVEL is .*; accepted is one of DEBUG, INFO"):
        load(TABLE | {"LOG_LEVEL": level})


def test_the_process_s_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler calls it without an argument."""
    monkeypatch.setenv("CONNECTIONS_TABLE", "FromTheEnvironment")

    assert load().connections_table == "FromTheEnvironment"
