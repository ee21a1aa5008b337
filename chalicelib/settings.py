"""Every setting. Only this module reads the environment."""

import functools
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from chalicelib.domain.errors import SettingsError
from chalicelib.domain.origins import origin_problem

T = TypeVar("T")

# An open connection, which lasts up to 2 hours, must not lose its row.
MIN_TTL_HOURS = 3
# A century: far beyond any use, and within the range of every epoch timestamp.
MAX_TTL_HOURS = 876_000
# A token of RFC 2616, which RFC 6455 requires: printable ASCII without separators.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class InvalidError(ValueError):
    """A value is invalid for a reason that its description does not make plain."""


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable. A `default` of None means that it must be set.

    `parse` converts the text and raises `ValueError` for an invalid one, `InvalidError` to say why;
    `accepted` describes the valid ones.
    """

    name: str
    default: str | None
    accepted: str
    parse: Callable[[str], T]

    def read(self, source: Mapping[str, str]) -> T:
        """Return the value in `source`. Raises `SettingsError`."""
        text = source.get(self.name, self.default)
        if text is None:
            raise SettingsError(self.name, None, self.accepted)
        try:
            return self.parse(text.strip())
        except ValueError as error:
            problem = str(error) if isinstance(error, InvalidError) else ""
            raise SettingsError(self.name, text, self.accepted, problem) from None


def _some_text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _hours_in_seconds(text: str) -> int:
    hours = float(text)
    if not 0 < hours <= MAX_TTL_HOURS:  # NaN fails every comparison
        raise ValueError
    return math.ceil(hours * 3600)


def _log_level(text: str) -> str:
    return _one_of(text.upper(), LOG_LEVELS)


def _any_text(text: str) -> str:
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if text and not (parts.hostname and (parts.scheme == "https" or local)):
        raise ValueError
    return text


def _items(text: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if text and not items:
        raise InvalidError("there is nothing between the commas")
    return items


@functools.lru_cache(maxsize=8)
def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(item.lower() for item in _items(text))
    for origin in origins:
        problem = origin_problem(origin)
        if problem:
            raise InvalidError(f"{origin}: {problem}")
    return origins


@functools.lru_cache(maxsize=8)
def _subprotocols(text: str) -> tuple[str, ...]:
    names = _items(text)
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise InvalidError(f"{name!r} is not a token as RFC 6455 requires")
    return names


def _true_or_false(text: str) -> bool:
    return {"true": True, "false": False}[_one_of(text.lower(), ("true", "false"))]


def _one_of(text: str, accepted: tuple[str, ...]) -> str:
    if text not in accepted:
        raise ValueError
    return text


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError
    return int(text)


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 60):
        raise ValueError
    return int(text)


CONNECTIONS_TABLE = Variable(
    "CONNECTIONS_TABLE", None, "the name of the DynamoDB table for connections", _some_text
)
TTL_HOURS = Variable(
    "TTL_HOURS",
    "24",
    f"a number of hours from {MIN_TTL_HOURS} to {MAX_TTL_HOURS}",
    _hours_in_seconds,
)
LOG_LEVEL = Variable("LOG_LEVEL", "INFO", "one of " + ", ".join(LOG_LEVELS), _log_level)
LOG_CONNECTION_ROWS = Variable(
    "LOG_CONNECTION_ROWS",
    "true",
    "true, or false to leave the row out of the log line of each new connection",
    _true_or_false,
)
STAGE = Variable("STAGE", "dev", "the stage name, used in metrics", _some_text)
AUTH_ISSUER = Variable(
    "AUTH_ISSUER",
    "",
    "the HTTPS URL of the token issuer; leave every AUTH_ setting empty to disable tokens",
    _address,
)
AUTH_AUDIENCE = Variable(
    "AUTH_AUDIENCE", "", "the audience of the tokens, required with AUTH_ISSUER", _any_text
)
AUTH_JWKS_URL = Variable(
    "AUTH_JWKS_URL",
    "",
    "the HTTPS URL of the issuer's keys, or empty for AUTH_ISSUER/.well-known/jwks.json",
    _address,
)
AUTHORIZER_CLIENT = Variable(
    "AUTHORIZER_CLIENT",
    "",
    "principalId or a key of the Lambda authorizer's context that names the client; empty with "
    "AUTH_ISSUER or without an authorizer",
    _any_text,
)
ALLOWED_ORIGINS = Variable(
    "ALLOWED_ORIGINS",
    "",
    "comma-separated origins such as https://dashboard.example.com, or empty for any origin",
    _origins,
)
SUBPROTOCOLS = Variable(
    "SUBPROTOCOLS",
    "",
    "comma-separated WebSocket subprotocols to select when offered, or empty for none",
    _subprotocols,
)
MAX_CONNECTIONS_PER_CLIENT = Variable(
    "MAX_CONNECTIONS_PER_CLIENT", "", "a positive integer, or empty for no limit", _limit
)
EVENT_BUS = Variable(
    "EVENT_BUS",
    "",
    "the name of an EventBridge event bus, or empty to publish no events",
    _any_text,
)
NOTIFICATIONS_TOPIC = Variable(
    "NOTIFICATIONS_TOPIC",
    "IncidentNotifications-dev",
    "the name of the SNS topic for notifications",
    _some_text,
)
SWEEP_MINUTES = Variable("SWEEP_MINUTES", "5", "an integer from 1 to 60", _minutes)
MANAGEMENT_ENDPOINT = Variable(
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
    "",
    "an HTTPS URL to call instead of API Gateway's `@connections` endpoint, or empty",
    _address,
)

VARIABLES = (
    CONNECTIONS_TABLE,
    TTL_HOURS,
    LOG_LEVEL,
    LOG_CONNECTION_ROWS,
    STAGE,
    AUTH_ISSUER,
    AUTH_AUDIENCE,
    AUTH_JWKS_URL,
    AUTHORIZER_CLIENT,
    ALLOWED_ORIGINS,
    SUBPROTOCOLS,
    MAX_CONNECTIONS_PER_CLIENT,
    EVENT_BUS,
    NOTIFICATIONS_TOPIC,
    SWEEP_MINUTES,
    MANAGEMENT_ENDPOINT,
)


_REGION_NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_READ = (*(variable.name for variable in VARIABLES), *_REGION_NAMES)


@dataclass(frozen=True)
class Authentication:
    """The issuer whose tokens clients must send."""

    issuer: str
    audience: str
    keys_url: str


@dataclass(frozen=True)
class Settings:
    """The checked settings. A feature whose setting is None or empty is switched off."""

    connections_table: str
    ttl_seconds: int
    log_level: str
    log_connection_rows: bool
    stage: str
    region: str | None
    authentication: Authentication | None
    authorizer_client: str
    allowed_origins: tuple[str, ...]
    subprotocols: tuple[str, ...]
    max_connections_per_client: int | None
    event_bus: str
    management_endpoint: str


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in `environ`, by default the environment of the process.

    Every invocation calls this, and no import does: packaging imports the application without
    these variables, and `chalice.test.Client` sets them for one call only.

    Raises `SettingsError` for the first variable that is missing or invalid.
    """
    source = os.environ if environ is None else environ
    return _parsed(tuple([source.get(name) for name in _READ]))


@functools.lru_cache(maxsize=4)
def _parsed(texts: tuple[str | None, ...]) -> Settings:
    """Parse the values of the variables, which rarely change between two invocations."""
    named = zip(_READ, texts, strict=True)
    source = {name: text for name, text in named if text is not None}
    return Settings(
        connections_table=CONNECTIONS_TABLE.read(source),
        ttl_seconds=TTL_HOURS.read(source),
        log_level=LOG_LEVEL.read(source),
        log_connection_rows=LOG_CONNECTION_ROWS.read(source),
        stage=STAGE.read(source),
        region=next(filter(None, map(source.get, _REGION_NAMES)), None),
        authentication=_authentication(source),
        authorizer_client=_authorizer_client(source),
        allowed_origins=ALLOWED_ORIGINS.read(source),
        subprotocols=SUBPROTOCOLS.read(source),
        max_connections_per_client=MAX_CONNECTIONS_PER_CLIENT.read(source),
        event_bus=EVENT_BUS.read(source),
        management_endpoint=MANAGEMENT_ENDPOINT.read(source),
    )


def sweep_minutes(environ: Mapping[str, str] | None = None) -> int:
    """Return the sweep's interval in minutes. Packaging needs it at import."""
    return SWEEP_MINUTES.read(os.environ if environ is None else environ)


def notifications_topic(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of the notifications topic. Packaging needs it at import."""
    return NOTIFICATIONS_TOPIC.read(os.environ if environ is None else environ)


def stage(environ: Mapping[str, str] | None = None) -> str:
    """Return the stage, also when another setting is invalid: that failure is counted, too."""
    source = os.environ if environ is None else environ
    return source.get(STAGE.name, "").strip() or str(STAGE.default)


def short_ttl(environ: Mapping[str, str] | None = None) -> SettingsError | None:
    """Return what is wrong with a `TTL_HOURS` under 3, or None.

    Packaging and deploying import the application with the stage's variables set. There the error
    is raised, as any error of `TTL_HOURS`; in Lambda, which sets `AWS_LAMBDA_FUNCTION_NAME`, it
    is returned for a warning, and refusing clients is left to the invocations.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    source = os.environ if environ is None else environ
    try:
        if TTL_HOURS.read(source) >= MIN_TTL_HOURS * 3600:
            return None
        problem = "an open connection could lose its row"
        raise SettingsError(TTL_HOURS.name, source[TTL_HOURS.name], TTL_HOURS.accepted, problem)
    except SettingsError as error:
        if "AWS_LAMBDA_FUNCTION_NAME" in source:
            return error
        raise


def _authorizer_client(source: Mapping[str, str]) -> str:
    """Return the key under which an authorizer names the client. Tokens name it, too."""
    key = AUTHORIZER_CLIENT.read(source)
    if key and AUTH_ISSUER.read(source):
        problem = "AUTH_ISSUER is set, too"
        raise SettingsError(
            AUTHORIZER_CLIENT.name,
            source[AUTHORIZER_CLIENT.name],
            AUTHORIZER_CLIENT.accepted,
            problem,
        )
    return key


def _authentication(source: Mapping[str, str]) -> Authentication | None:
    """Return the token settings. None of them may be set without `AUTH_ISSUER`.

    An audience without an issuer would silently disable authentication.
    """
    issuer, audience = AUTH_ISSUER.read(source), AUTH_AUDIENCE.read(source)
    keys_url = AUTH_JWKS_URL.read(source)
    if not issuer:
        if audience or keys_url:
            raise SettingsError(
                AUTH_ISSUER.name, source.get(AUTH_ISSUER.name), AUTH_ISSUER.accepted
            )
        return None
    if not audience:
        raise SettingsError(
            AUTH_AUDIENCE.name, source.get(AUTH_AUDIENCE.name), AUTH_AUDIENCE.accepted
        )
    return Authentication(
        issuer, audience, keys_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
    )
