"""The environment variables: their names, defaults and accepted values."""

import functools
import math
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
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
# A FIFO queue, whose name has a dot, cannot delay single messages.
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
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


def _recover_own(text: str) -> str:
    return _one_of(text.lower(), ("authenticated", "always"))


def _token_expiry(text: str) -> str:
    return _one_of(text.lower(), ("close", "ignore"))


def _queue(text: str) -> str:
    if text and not _QUEUE_NAME.fullmatch(text):
        raise ValueError
    return text


def _limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError
    return int(text)


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return parse


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda text: parse(text) if text else None


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
TOKEN_EXPIRY = Variable(
    "TOKEN_EXPIRY",
    "close",
    "close, or ignore to let a connection outlive its token",
    _token_expiry,
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
HISTORY_TABLE = Variable(
    "HISTORY_TABLE",
    "",
    "the name of the DynamoDB table for the history of notifications, or empty for no history",
    _any_text,
)
HISTORY_HOURS = Variable(
    "HISTORY_HOURS",
    "24",
    "an integer from 1 to 168; missed notifications can be recovered for so long",
    _integer(1, 168),
)
RECOVER_OWN = Variable(
    "RECOVER_OWN",
    "authenticated",
    "authenticated, or always to let also clients without AUTH_ISSUER or AUTHORIZER_CLIENT recover "
    "what was sent to their clientId",
    _recover_own,
)
KEEP_ALIVE_SECONDS = Variable(
    "KEEP_ALIVE_SECONDS",
    "300",
    "an integer from 30 to 540, told to clients: how often to ping",
    _integer(30, 540),
)
SILENT_AFTER_SECONDS = Variable(
    "SILENT_AFTER_SECONDS",
    "",
    "an integer from 60 to 600, at least twice KEEP_ALIVE_SECONDS plus 30, or empty; the sweep "
    "closes connections whose client was silent for longer",
    _optional(_integer(60, 600)),
)
SPREAD_SECONDS = Variable(
    "SPREAD_SECONDS",
    "5",
    "an integer from 0 to 3600, told to clients: over how long to spread their reconnects",
    _integer(0, 3600),
)
UNCLAIMED_QUEUE = Variable(
    "UNCLAIMED_QUEUE",
    "",
    "the name of the SQS queue for notifications that may have reached nobody, or empty to "
    "announce none",
    _queue,
)
UNCLAIMED_SECONDS = Variable(
    "UNCLAIMED_SECONDS",
    "30",
    "an integer from 15 to 900; named clients have so long to fetch a notification",
    _integer(15, 900),
)
SWEEP_MINUTES = Variable("SWEEP_MINUTES", "5", "an integer from 1 to 60", _integer(1, 60))
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
    TOKEN_EXPIRY,
    AUTHORIZER_CLIENT,
    ALLOWED_ORIGINS,
    SUBPROTOCOLS,
    MAX_CONNECTIONS_PER_CLIENT,
    EVENT_BUS,
    NOTIFICATIONS_TOPIC,
    HISTORY_TABLE,
    HISTORY_HOURS,
    RECOVER_OWN,
    KEEP_ALIVE_SECONDS,
    SPREAD_SECONDS,
    SILENT_AFTER_SECONDS,
    UNCLAIMED_QUEUE,
    UNCLAIMED_SECONDS,
    SWEEP_MINUTES,
    MANAGEMENT_ENDPOINT,
)
