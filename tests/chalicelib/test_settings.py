import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import SettingsError
from chalicelib.parsers import LOG_LEVELS
from chalicelib.settings import (
    Authentication,
    History,
    Settings,
    Unclaimed,
    load,
    notifications_topic,
    short_ttl,
    sweep_minutes,
    unclaimed_queue,
)
from chalicelib.variables import VARIABLES

TABLE = {"CONNECTIONS_TABLE": "Connections"}
ISSUER = "https://issuer.example.com"
TOKENS = {"AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": "dashboard"}
DEFAULTS = Settings(
    connections_table="Connections",
    ttl_seconds=86_400,
    log_level="INFO",
    log_connection_rows=True,
    stage="dev",
    region=None,
    authentication=None,
    authorizer_client="",
    allowed_origins=(),
    subprotocols=(),
    max_connections_per_client=None,
    silent_after_seconds=None,
    event_bus="",
    management_endpoint="",
    history=None,
    unclaimed=None,
)
HTTPS_ISSUER = (
    "the HTTPS URL of the token issuer; leave every AUTH_ setting empty to disable tokens"
)
HTTPS_KEYS = "the HTTPS URL of the issuer's keys, or empty for AUTH_ISSUER/.well-known/jwks.json"
ROWS = "true, or false to leave the row out of the log line of each new connection"
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

    assert len(empty) == 12
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
        ({"LOG_CONNECTION_ROWS": " False "}, "log_connection_rows", False),
        ({"STAGE": "prod"}, "stage", "prod"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "eu-west-1"}, "region", "us-east-1"),
        ({"AWS_REGION": ""}, "region", None),
        *(
            ({"ALLOWED_ORIGINS": text}, "allowed_origins", origins)
            for text, origins in {
                "https://a.example": ("https://a.example",),
                "capacitor://localhost,tauri://localhost": (
                    "capacitor://localhost",
                    "tauri://localhost",
                ),
                "NULL, file://": ("null", "file://"),
                "https://[::1]:8080": ("https://[::1]:8080",),
                " https://A.example , http://localhost:3000,": (
                    "https://a.example",
                    "http://localhost:3000",
                ),
            }.items()
        ),
        ({"SUBPROTOCOLS": " chat, v2.Chat ,"}, "subprotocols", ("chat", "v2.Chat")),
        ({"MAX_CONNECTIONS_PER_CLIENT": " "}, "max_connections_per_client", None),
        ({"MAX_CONNECTIONS_PER_CLIENT": "1"}, "max_connections_per_client", 1),
        ({"MAX_CONNECTIONS_PER_CLIENT": " 3 "}, "max_connections_per_client", 3),
        ({"SILENT_AFTER_SECONDS": " "}, "silent_after_seconds", None),
        *(
            (
                {"SILENT_AFTER_SECONDS": f"{seconds}", "KEEP_ALIVE_SECONDS": f"{keep_alive}"},
                "silent_after_seconds",
                seconds,
            )
            for seconds, keep_alive in ((90, 30), (600, 30), (600, 285))
        ),
        ({"EVENT_BUS": " bus "}, "event_bus", "bus"),
        (
            {"AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://localhost:1/dev"},
            "management_endpoint",
            "http://localhost:1/dev",
        ),
        ({"HISTORY_TABLE": " H "}, "history", History("H", 86_400, False, 300, 5)),
        ({"HISTORY_HOURS": "168"}, "history", None),
        *(
            ({"HISTORY_TABLE": "H", **more}, "history", history)
            for more, history in (
                ({"HISTORY_HOURS": "1"}, History("H", 3600, False, 300, 5)),
                ({"HISTORY_HOURS": "168"}, History("H", 604_800, False, 300, 5)),
                ({"RECOVER_OWN": " Always "}, History("H", 86_400, True, 300, 5)),
                ({"RECOVER_OWN": "authenticated"}, History("H", 86_400, False, 300, 5)),
                (TOKENS, History("H", 86_400, True, 300, 5)),
                ({"AUTHORIZER_CLIENT": "user"}, History("H", 86_400, True, 300, 5)),
                ({"KEEP_ALIVE_SECONDS": "30"}, History("H", 86_400, False, 30, 5)),
                ({"KEEP_ALIVE_SECONDS": "540"}, History("H", 86_400, False, 540, 5)),
                ({"SPREAD_SECONDS": "0"}, History("H", 86_400, False, 300, 0)),
                ({"SPREAD_SECONDS": "3600"}, History("H", 86_400, False, 300, 3600)),
            )
        ),
        ({"UNCLAIMED_QUEUE": " "}, "unclaimed", None),
        ({"UNCLAIMED_SECONDS": "15"}, "unclaimed", None),
        ({"UNCLAIMED_QUEUE": " Q-1_a "}, "unclaimed", Unclaimed("Q-1_a", 30)),
        (
            {"UNCLAIMED_QUEUE": "Q", "UNCLAIMED_SECONDS": "900"},
            "unclaimed",
            Unclaimed("Q", 900),
        ),
        ({"AUTHORIZER_CLIENT": " principalId "}, "authorizer_client", "principalId"),
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
        *(
            (
                TOKENS | {"TOKEN_EXPIRY": text},
                "authentication",
                Authentication(ISSUER, "dashboard", f"{ISSUER}/.well-known/jwks.json", ends),
            )
            for text, ends in (("close", True), (" Close ", True), ("ignore", False))
        ),
        ({"TOKEN_EXPIRY": "ignore"}, "authentication", None),
        (
            TOKENS | {"AUTH_ISSUER": "http://127.0.0.1:1"},
            "authentication",
            Authentication(
                "http://127.0.0.1:1", "dashboard", "http://127.0.0.1:1/.well-known/jwks.json"
            ),
        ),
    ],
)
def test_a_valid_value_is_converted(environ: Mapping[str, str], field: str, value: object) -> None:
    assert getattr(load({**TABLE, **environ}), field) == value


@pytest.mark.parametrize(
    ("variable", "values", "expected"),
    [
        ("CONNECTIONS_TABLE", ("", "  "), "the name of the DynamoDB table for connections"),
        (
            "TTL_HOURS",
            ("", "0", "-1", "nan", "inf", "-inf", "1e999", "876001", "24h", "0x10", "1,5"),
            "a number of hours from 3 to 876000",
        ),
        ("LOG_LEVEL", ("", "TRACE", "10"), "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ("STAGE", ("",), "the stage name, used in metrics"),
        ("AUTH_ISSUER", NO_ADDRESS, HTTPS_ISSUER),
        ("AUTH_JWKS_URL", NO_ADDRESS, HTTPS_KEYS),
        ("LOG_CONNECTION_ROWS", ("", "yes", "0"), ROWS),
        (
            "TOKEN_EXPIRY",
            ("", "never", "true"),
            "close, or ignore to let a connection outlive its token",
        ),
        (
            "HISTORY_HOURS",
            ("", "0", "169", "1.5", "\u0663"),
            "an integer from 1 to 168; missed notifications can be recovered for so long",
        ),
        (
            "RECOVER_OWN",
            ("", "never", "yes"),
            "authenticated, or always to let also clients without AUTH_ISSUER or AUTHORIZER_CLIENT "
            "recover what was sent to their clientId",
        ),
        (
            "KEEP_ALIVE_SECONDS",
            ("29", "541", ""),
            "an integer from 30 to 540, told to clients: how often to ping",
        ),
        (
            "SPREAD_SECONDS",
            ("-1", "3601", ""),
            "an integer from 0 to 3600, told to clients: over how long to spread their reconnects",
        ),
        (
            "SILENT_AFTER_SECONDS",
            ("59", "601", "never", "90.5"),
            "an integer from 60 to 600, at least twice KEEP_ALIVE_SECONDS plus 30, or "
            "empty; the sweep closes connections whose client was silent for longer",
        ),
        (
            "UNCLAIMED_QUEUE",
            ("https://sqs.eu-west-1.amazonaws.com/1/Q", "Q.fifo", "Q" * 81),
            "the name of the SQS queue for notifications that may have reached nobody, or empty to "
            "announce none",
        ),
        (
            "UNCLAIMED_SECONDS",
            ("14", "901", "", "30.5"),
            "an integer from 15 to 900; named clients have so long to fetch a notification",
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


@pytest.mark.parametrize(
    ("seconds", "keep_alive", "least"),
    [(89, 30, 90), (60, 30, 90), (600, 286, 602), (600, 300, 630)],
)
def test_a_silence_shorter_than_two_pings_is_refused(
    seconds: int, keep_alive: int, least: int
) -> None:
    """One lost ping would close the connection of a client that is well."""
    chosen = {"SILENT_AFTER_SECONDS": str(seconds), "KEEP_ALIVE_SECONDS": str(keep_alive)}

    with pytest.raises(SettingsError) as caught:
        load(TABLE | chosen)

    assert f"KEEP_ALIVE_SECONDS is {keep_alive}, so at least {least}" in str(caught.value)
    assert f"SILENT_AFTER_SECONDS is '{seconds}'" in str(caught.value)


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
        (
            TOKENS | {"AUTHORIZER_CLIENT": "user"},
            "AUTHORIZER_CLIENT is 'user'; expected principalId or a key",
        ),
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
        (unclaimed_queue, {}, "IncidentUnclaimed-dev"),
        (unclaimed_queue, {"STAGE": "prod", "UNCLAIMED_QUEUE": " "}, "IncidentUnclaimed-prod"),
        (unclaimed_queue, {"UNCLAIMED_QUEUE": "Q"}, "Q"),
        (notifications_topic, {}, "IncidentNotifications-dev"),
        (notifications_topic, {"NOTIFICATIONS_TOPIC": " prod "}, "prod"),
    ],
)
def test_a_setting_of_the_package_is_read_alone(
    read: Read, environ: dict[str, str], value: object
) -> None:
    assert read(environ) == value


@pytest.mark.parametrize(
    ("variable", "text", "problem"),
    [
        *(
            ("ALLOWED_ORIGINS", f"https://good.example,{origin}", f"{origin}: {problem}")
            for origin, problem in {
                "a.example": "the scheme is missing, such as https://",
                "1a://b": "'1a' is not a scheme",
                "wss://a": "browsers send the scheme of the page, such as https",
                "*": "a wildcard matches nothing",
                "https://*.example": "a wildcard matches nothing",
                "https://a/": "an origin has no path",
                "https://a?b": "an origin has no query",
                "https://a#b": "an origin has no fragment",
                "https://a:b@c": "an origin has no user",
                "https://": "the host is missing",
                "https://:8080": "the host is missing",
                "https://b\u00fccher.example": (
                    "browsers send an international host in punycode (xn--)"
                ),
                "https://a b": "'a b' is not a host",
                "https://a:443": "browsers leave out the default port 443",
                "http://a:80": "browsers leave out the default port 80",
                "https://[::1]:443": "browsers leave out the default port 443",
                **{
                    f"https://a:{port}": f"'{port}' is not a port"
                    for port in ("", "0", "080", "65536", "http", "-1", "\u0663", "8 0")
                },
            }.items()
        ),
        ("ALLOWED_ORIGINS", " , ,", "there is nothing between the commas"),
        ("SUBPROTOCOLS", ",", "there is nothing between the commas"),
        *(
            ("SUBPROTOCOLS", f"chat,{name}", f"{name!r} is not a token as RFC 6455 requires")
            for name in ("a b", "a/b", "b\u00fc", "a;q=1", '"a"')
        ),
    ],
)
def test_a_value_that_can_never_match_is_refused_with_the_reason(
    variable: str, text: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(TABLE | {variable: text})

    assert str(caught.value).startswith(f"{variable} is {text!r}; expected comma-separated ")
    assert str(caught.value).endswith(f" ({problem})")


@pytest.mark.parametrize("hours", ["2", "2.99", "1e-9"])
def test_a_ttl_under_three_hours_is_refused_by_packaging_and_a_warning_in_lambda(
    hours: str,
) -> None:
    """A connection may stay open for two hours, and its row must not expire before."""
    message = (
        f"TTL_HOURS is {hours!r}; expected a number of hours from 3 to 876000 "
        "(an open connection could lose its row)"
    )

    with pytest.raises(SettingsError) as caught:
        short_ttl({"TTL_HOURS": hours})
    warning = short_ttl({"TTL_HOURS": hours, "AWS_LAMBDA_FUNCTION_NAME": "connect"})

    assert str(caught.value) == str(warning) == message


@pytest.mark.parametrize("environ", [{}, {"TTL_HOURS": "3"}, {"TTL_HOURS": "24"}])
def test_a_ttl_of_three_hours_is_long_enough(environ: Mapping[str, str]) -> None:
    assert short_ttl(environ) is None


def test_packaging_refuses_a_ttl_that_is_not_a_number() -> None:
    with pytest.raises(SettingsError, match="TTL_HOURS is 'a day'"):
        short_ttl({"TTL_HOURS": "a day"})


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
