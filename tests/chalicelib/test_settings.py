import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import SettingsError
from chalicelib.settings import (
    LOG_LEVELS,
    VARIABLES,
    Authentication,
    Settings,
    load,
    notifications_topic,
    sweep_minutes,
)

TABLE = {"CONNECTIONS_TABLE": "Connections"}
ISSUER = "https://issuer.example.com"
TOKENS = {"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": "dashboard"}
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
HTTPS_ISSUER = (
    "the HTTPS URL of the token issuer; leave every AUTH_ setting empty to disable tokens"
)
HTTPS_KEYS = "the HTTPS URL of the issuer's keys, or empty for AUTH_ISSUER/.well-known/jwks.json"
ORIGINS = "comma-separated origins such as https://dashboard.example.com, or empty for any origin"
TOPIC = "the name of the SNS topic for notifications"
NO_ADDRESS = (
    "issuer.example.com",
    "http://issuer.example.com",
    "https://",
    "file:///k",
    "https://[",
)


def test_only_the_table_has_to_be_set() -> None:
    assert load(TABLE) == DEFAULTS


def test_an_empty_value_switches_nothing_on() -> None:
    """A template can set every variable."""
    empty = {v.name: "" for v in VARIABLES if v.default == ""}

    assert len(empty) == 7
    assert load(TABLE | empty) == DEFAULTS


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        *(
            ({"TTL_HOURS": hours}, "ttl_seconds", seconds)
            for hours, seconds in {
                "24": 86_400,
                "1": 3600,
                "0.5": 1800,
                " 2 ": 7200,
                "1e-9": 1,
                "876000": 3_153_600_000,
            }.items()
        ),
        *(({"LOG_LEVEL": level}, "log_level", level) for level in LOG_LEVELS),
        ({"LOG_LEVEL": " Debug "}, "log_level", "DEBUG"),
        ({"STAGE": "prod"}, "stage", "prod"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "region", "us-east-1"),
        ({"AWS_REGION": ""}, "region", None),
        *(
            ({"ALLOWED_ORIGINS": text}, "allowed_origins", origins)
            for text, origins in {
                " , ": (),
                "https://a.example": ("https://a.example",),
                " https://A.example , http://localhost:3000,": (
                    "https://a.example",
                    "http://localhost:3000",
                ),
            }.items()
        ),
        ({"MAX_CONNECTIONS_PER_CLIENT": " "}, "max_connections_per_client", None),
        ({"MAX_CONNECTIONS_PER_CLIENT": "1"}, "max_connections_per_client", 1),
        ({"MAX_CONNECTIONS_PER_CLIENT": " 3 "}, "max_connections_per_client", 3),
        ({"EVENT_BUS": " bus "}, "event_bus", "bus"),
        (
            {"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://localhost:1/dev"},
            "management_endpoint",
            "http://localhost:1/dev",
        ),
        (
            TOKENS,
            "authentication",
            Authentication(ISSUER, "dashboard", f"{ISSUER}/.well-known/jwks.json"),
        ),
        (
            {"AUTH_ISSUER": f"{ISSUER}/pool/", "AUTH_AUDIENCE": " dashboard "},
            "authentication",
            Authentication(f"{ISSUER}/pool/", "dashboard", f"{ISSUER}/pool/.well-known/jwks.json"),
        ),
        (
            TOKENS | {"AUTH_JWKS_URL": "https://keys.example.com/v1"},
            "authentication",
            Authentication(ISSUER, "dashboard", "https://keys.example.com/v1"),
        ),
        (
            TOKENS | {"AUTH_ISSUER": "http://127.0.0.1:1"},
            "authentication",
            Authentication(
                "http://127.0.0.1:1", "dashboard", "http://127.0.0.1:1/.well-known/jwks.json"
            ),
        ),
    ],
)
def test_a_valid_value_is_converted(environ: dict[str, str], field: str, value: object) -> None:
    assert getattr(load(TABLE | environ), field) == value


@pytest.mark.parametrize(
    ("variable", "values", "expected"),
    [
        ("CONNECTIONS_TABLE", ("", "  "), "the name of the DynamoDB table for connections"),
        (
            "TTL_HOURS",
            ("", "0", "-1", "nan", "inf", "-inf", "1e999", "876001", "24h", "0x10", "1,5"),
            "a positive number of hours, at most 876000",
        ),
        ("LOG_LEVEL", ("", "TRACE", "10"), "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("STAGE", ("",), "the stage name, used in metrics"),
        ("AUTH_ISSUER", NO_ADDRESS, HTTPS_ISSUER),
        ("AUTH_JWKS_URL", NO_ADDRESS, HTTPS_KEYS),
        (
            "ALLOWED_ORIGINS",
            tuple(
                f"https://good.example,{origin}"
                for origin in ("a.example", "*", "https://a/", "https://a/x", "wss://a", "null")
            ),
            ORIGINS,
        ),
        (
            "MAX_CONNECTIONS_PER_CLIENT",
            ("0", "-1", "1.5", "many", "\u0663", "1e3", "+1"),
            "a positive integer, or empty for no limit",
        ),
        (
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
            NO_ADDRESS,
            "an HTTPS URL to call instead of API Gateway's `@connections` endpoint, or empty",
        ),
    ],
)
def test_an_invalid_value_is_shown_with_what_is_expected(
    variable: str, values: tuple[str, ...], expected: str
) -> None:
    for value in values:
        with pytest.raises(SettingsError) as caught:
            load(TABLE | TOKENS | {variable: value})

        assert str(caught.value) == f"{variable} is {value!r}; expected {expected}"


def test_a_missing_table_is_reported_as_not_set() -> None:
    with pytest.raises(SettingsError, match=r"^CONNECTIONS_TABLE is not set; expected"):
        load({})


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        ({"AUTH_AUDIENCE": "dashboard"}, f"AUTH_ISSUER is not set; expected {HTTPS_ISSUER}"),
        ({"AUTH_JWKS_URL": "https://k.example"}, "AUTH_ISSUER is not set; expected"),
        ({"AUTH_ISSUER": "", "AUTH_AUDIENCE": "dashboard"}, "AUTH_ISSUER is ''; expected"),
        ({"AUTH_ISSUER": ISSUER}, "AUTH_AUDIENCE is not set; expected the audience of the tokens"),
        ({"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": " "}, "AUTH_AUDIENCE is ' '; expected"),
    ],
)
def test_half_of_an_authentication_is_refused(environ: dict[str, str], error: str) -> None:
    """It would silently disable tokens."""
    with pytest.raises(SettingsError) as caught:
        load(TABLE | environ)

    assert str(caught.value).startswith(error)


@given(st.floats(min_value=1e-6, max_value=876_000))
def test_hours_are_rounded_up_to_a_second(hours: float) -> None:
    seconds = load(TABLE | {"TTL_HOURS": repr(hours)}).ttl_seconds

    assert hours * 3600 <= seconds < hours * 3600 + 1


@given(st.sampled_from([v.name for v in VARIABLES]), st.text())
def test_any_text_in_any_variable_is_valid_or_a_settings_error(name: str, text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert isinstance(load(TABLE | {name: text}), Settings)


# Packaging reads these when it imports the application, without the other settings.
Read = Callable[..., Any]


@pytest.mark.parametrize(
    ("read", "environ", "value"),
    [
        (sweep_minutes, {}, 5),
        (sweep_minutes, {"SWEEP_MINUTES": "1"}, 1),
        (sweep_minutes, {"SWEEP_MINUTES": "60"}, 60),
        (notifications_topic, {}, "IncidentNotifications-dev"),
        (notifications_topic, {"NOTIFICATIONS_TOPIC": " prod "}, "prod"),
    ],
)
def test_a_setting_of_the_package_is_read_alone(
    read: Read, environ: dict[str, str], value: object
) -> None:
    assert read(environ) == value


@pytest.mark.parametrize(
    ("read", "variable", "values", "expected"),
    [
        (
            sweep_minutes,
            "SWEEP_MINUTES",
            ("", "0", "61", "2.5", "never", "\u0663"),
            "an integer from 1 to 60",
        ),
        (notifications_topic, "NOTIFICATIONS_TOPIC", ("", "  "), TOPIC),
    ],
)
def test_an_invalid_setting_of_the_package_is_refused(
    read: Read, variable: str, values: tuple[str, ...], expected: str
) -> None:
    for value in values:
        with pytest.raises(SettingsError) as caught:
            read({variable: value})

        assert str(caught.value) == f"{variable} is {value!r}; expected {expected}"


@pytest.mark.parametrize(
    ("variable", "read", "value"),
    [
        ("CONNECTIONS_TABLE", lambda: load().connections_table, "FromTheEnvironment"),
        ("NOTIFICATIONS_TOPIC", notifications_topic, "FromTheEnvironment"),
        ("SWEEP_MINUTES", lambda: str(sweep_minutes()), "7"),
    ],
)
def test_the_environment_of_the_process_is_the_default(
    variable: str, read: Read, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    assert read() == value
