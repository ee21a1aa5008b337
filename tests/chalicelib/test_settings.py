"""The settings: what is accepted, and what a wrong value is told."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import SettingsError
from chalicelib.settings import (
    LOG_LEVELS,
    MAX_TTL_HOURS,
    VARIABLES,
    Authentication,
    Settings,
    load,
    notifications_topic,
    sweep_minutes,
)

TABLE = {"CONNECTIONS_TABLE": "Connections"}
DEFAULTS = Settings(
    connections_table="Connections",
    ttl_seconds=86_400,
    log_level="INFO",
    stage="dev",
    region=None,
    authentication=None,
    allowed_origins=(),
    max_connections_per_client=None,
    event_bus="",
    management_endpoint="",
)


def test_only_the_table_has_no_default() -> None:
    """One variable is enough."""
    assert [variable.name for variable in VARIABLES if variable.default is None] == list(TABLE)


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
        f"TTL_HOURS is {hours!r}; expected a positive number of hours, at most {MAX_TTL_HOURS}"
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
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_TABLE is .*; expected the name of"):
        load(environ)


@pytest.mark.parametrize("level", [*LOG_LEVELS, "info", " Debug "])
def test_log_levels_are_accepted_in_any_case(level: str) -> None:
    """The level comes out as `logging` names it."""
    assert load(TABLE | {"LOG_LEVEL": level}).log_level == level.strip().upper()


@pytest.mark.parametrize("level", ["", "TRACE", "10"])
def test_other_log_levels_are_refused(level: str) -> None:
    """The error lists the levels."""
    with pytest.raises(SettingsError, match=r"LOG_LEVEL is .*; expected one of DEBUG, INFO"):
        load(TABLE | {"LOG_LEVEL": level})


def test_the_process_s_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler calls it without an argument."""
    monkeypatch.setenv("CONNECTIONS_TABLE", "FromTheEnvironment")

    assert load().connections_table == "FromTheEnvironment"


def test_nothing_is_switched_on_by_default() -> None:
    """With the table alone, every connection is accepted and nobody is told of anything."""
    assert load(TABLE) == DEFAULTS


def test_nothing_is_switched_on_by_empty_values() -> None:
    """A template may set every variable, and leave those empty that are not used."""
    empty = {v.name: "" for v in VARIABLES if v.default == ""}

    assert len(empty) == 7
    assert load(TABLE | empty) == DEFAULTS


@pytest.mark.parametrize(
    ("environ", "authentication"),
    [
        (
            {"AUTH_ISSUER": "https://issuer.example.com", "AUTH_AUDIENCE": "dashboard"},
            Authentication(
                "https://issuer.example.com",
                "dashboard",
                "https://issuer.example.com/.well-known/jwks.json",
            ),
        ),
        (
            {"AUTH_ISSUER": "https://issuer.example.com/pool/", "AUTH_AUDIENCE": " dashboard "},
            Authentication(
                "https://issuer.example.com/pool/",
                "dashboard",
                "https://issuer.example.com/pool/.well-known/jwks.json",
            ),
        ),
        (
            {
                "AUTH_ISSUER": "https://issuer.example.com",
                "AUTH_AUDIENCE": "dashboard",
                "AUTH_JWKS_URL": "https://keys.example.com/v1",
            },
            Authentication(
                "https://issuer.example.com", "dashboard", "https://keys.example.com/v1"
            ),
        ),
        (
            {"AUTH_ISSUER": "http://127.0.0.1:8000", "AUTH_AUDIENCE": "dashboard"},
            Authentication(
                "http://127.0.0.1:8000",
                "dashboard",
                "http://127.0.0.1:8000/.well-known/jwks.json",
            ),
        ),
    ],
)
def test_tokens_are_asked_for(environ: dict[str, str], authentication: Authentication) -> None:
    """The keys are at the issuer's well-known address unless another is set."""
    assert load(TABLE | environ).authentication == authentication


@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        ({"AUTH_AUDIENCE": "dashboard"}, "AUTH_ISSUER"),
        ({"AUTH_JWKS_URL": "https://keys.example.com"}, "AUTH_ISSUER"),
        ({"AUTH_ISSUER": "", "AUTH_AUDIENCE": "dashboard"}, "AUTH_ISSUER"),
        ({"AUTH_ISSUER": "https://issuer.example.com"}, "AUTH_AUDIENCE"),
        ({"AUTH_ISSUER": "https://issuer.example.com", "AUTH_AUDIENCE": " "}, "AUTH_AUDIENCE"),
    ],
)
def test_half_of_an_authentication_is_refused(environ: dict[str, str], wrong: str) -> None:
    """It would leave a door open that somebody meant to close."""
    with pytest.raises(SettingsError) as caught:
        load(TABLE | environ)

    assert caught.value.variable == wrong


@pytest.mark.parametrize("variable", ["AUTH_ISSUER", "AUTH_JWKS_URL"])
@pytest.mark.parametrize(
    "address",
    [
        "issuer.example.com",
        "http://issuer.example.com",
        "https://",
        "file:///keys",
        "https://[",
        "x",
    ],
)
def test_keys_come_over_https(variable: str, address: str) -> None:
    """Who can change the keys on their way can be anybody; only this machine is trusted."""
    environ = {"AUTH_ISSUER": "https://issuer.example.com", "AUTH_AUDIENCE": "dashboard"}

    with pytest.raises(SettingsError) as caught:
        load(TABLE | environ | {variable: address})

    assert str(caught.value).startswith(f"{variable} is {address!r}; expected the HTTPS URL")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        (" , ", ()),
        ("https://a.example", ("https://a.example",)),
        (
            " https://A.example , http://localhost:3000,",
            ("https://a.example", "http://localhost:3000"),
        ),
    ],
)
def test_origins_are_listed_with_commas(text: str, origins: tuple[str, ...]) -> None:
    """In lower case, as they are compared."""
    assert load(TABLE | {"ALLOWED_ORIGINS": text}).allowed_origins == origins


@pytest.mark.parametrize(
    "text",
    ["a.example", "*", "https://a.example/", "https://a.example/x", "wss://a.example", "null"],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """A list that matches nothing would lock everybody out, without a word."""
    with pytest.raises(
        SettingsError, match=r"^ALLOWED_ORIGINS is .*; expected comma-separated origins"
    ):
        load(TABLE | {"ALLOWED_ORIGINS": f"https://good.example,{text}"})


@pytest.mark.parametrize(("text", "limit"), [("", None), (" ", None), ("1", 1), (" 3 ", 3)])
def test_the_limit_is_a_number_or_none(text: str, limit: int | None) -> None:
    """Without one a client may have any number of connections."""
    assert load(TABLE | {"MAX_CONNECTIONS_PER_CLIENT": text}).max_connections_per_client == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "\u0663", "1e3", "+1"])
def test_another_limit_is_refused(text: str) -> None:
    """The error names the variable, the value seen and what is accepted."""
    with pytest.raises(SettingsError) as caught:
        load(TABLE | {"MAX_CONNECTIONS_PER_CLIENT": text})

    assert str(caught.value) == (
        f"MAX_CONNECTIONS_PER_CLIENT is {text!r}; "
        "expected a positive integer, or empty for no limit"
    )


@pytest.mark.parametrize(("environ", "minutes"), [({}, 5), ({"SWEEP_MINUTES": "60"}, 60)])
def test_how_often_the_sweep_runs(environ: dict[str, str], minutes: int) -> None:
    """It is read when the application is packaged, where nothing else is set."""
    assert sweep_minutes(environ) == minutes


@pytest.mark.parametrize("text", ["", "0", "61", "2.5", "never"])
def test_another_interval_of_the_sweep_is_refused(text: str) -> None:
    """Packaging fails with the reason."""
    with pytest.raises(SettingsError, match="expected an integer from 1 to 60"):
        sweep_minutes({"SWEEP_MINUTES": text})


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "IncidentNotifications-dev"),
        ({"NOTIFICATIONS_TOPIC": " IncidentNotifications-prod "}, "IncidentNotifications-prod"),
    ],
)
def test_the_topic_of_notifications_is_named(environ: dict[str, str], name: str) -> None:
    """It is read when the application is packaged, where the table may not be set."""
    assert notifications_topic(environ) == name


def test_the_topic_is_read_from_the_process_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which Chalice sets before it imports the application."""
    monkeypatch.setenv("NOTIFICATIONS_TOPIC", "FromTheEnvironment")

    assert notifications_topic() == "FromTheEnvironment"


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_topic_is_refused(text: str) -> None:
    """Packaging fails with the reason, rather than subscribing to nothing."""
    with pytest.raises(SettingsError) as caught:
        notifications_topic({"NOTIFICATIONS_TOPIC": text})

    assert str(caught.value) == (
        f"NOTIFICATIONS_TOPIC is {text!r}; expected the name of the SNS topic for notifications"
    )


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, None),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "us-east-1"),
        ({"AWS_REGION": ""}, None),
    ],
)
def test_the_region_is_lambda_s_own(environ: dict[str, str], region: str | None) -> None:
    """It is stored with the row, for whoever posts to the connection from elsewhere."""
    assert load(TABLE | environ).region == region


@given(st.sampled_from([v.name for v in VARIABLES]), st.text())
def test_any_text_in_any_variable_is_settings_or_a_settings_error(name: str, text: str) -> None:
    """Nothing else can come out of a variable that anybody may have typed."""
    with contextlib.suppress(SettingsError):
        assert isinstance(load(TABLE | {name: text}), Settings)
