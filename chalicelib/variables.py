"""The environment variables: their names, defaults and accepted values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from chalicelib.domain.errors import SettingsError
from chalicelib.parsers import (
    LOG_LEVELS,
    MAX_TTL_HOURS,
    InvalidError,
    address,
    any_text,
    choice,
    hours_in_seconds,
    integer,
    limit,
    log_level,
    optional,
    origins,
    queue,
    some_text,
    subprotocols,
    true_or_false,
)

T = TypeVar("T")

# An open connection, which lasts up to 2 hours, must not lose its row.
MIN_TTL_HOURS = 3


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


CONNECTIONS_TABLE = Variable(
    "CONNECTIONS_TABLE", None, "the name of the DynamoDB table for connections", some_text
)
TTL_HOURS = Variable(
    "TTL_HOURS",
    "24",
    f"a number of hours from {MIN_TTL_HOURS} to {MAX_TTL_HOURS}",
    hours_in_seconds,
)
LOG_LEVEL = Variable("LOG_LEVEL", "INFO", "one of " + ", ".join(LOG_LEVELS), log_level)
LOG_CONNECTION_ROWS = Variable(
    "LOG_CONNECTION_ROWS",
    "true",
    "true, or false to leave the row out of the log line of each new connection",
    true_or_false,
)
STAGE = Variable("STAGE", "dev", "the stage name, used in metrics", some_text)
AUTH_ISSUER = Variable(
    "AUTH_ISSUER",
    "",
    "the HTTPS URL of the token issuer; leave every AUTH_ setting empty to disable tokens",
    address,
)
AUTH_AUDIENCE = Variable(
    "AUTH_AUDIENCE", "", "the audience of the tokens, required with AUTH_ISSUER", any_text
)
AUTH_JWKS_URL = Variable(
    "AUTH_JWKS_URL",
    "",
    "the HTTPS URL of the issuer's keys, or empty for AUTH_ISSUER/.well-known/jwks.json",
    address,
)
TOKEN_EXPIRY = Variable(
    "TOKEN_EXPIRY",
    "close",
    "close, or ignore to let a connection outlive its token",
    choice("close", "ignore"),
)
AUTHORIZER_CLIENT = Variable(
    "AUTHORIZER_CLIENT",
    "",
    "principalId or a key of the Lambda authorizer's context that names the client; empty with "
    "AUTH_ISSUER or without an authorizer",
    any_text,
)
ALLOWED_ORIGINS = Variable(
    "ALLOWED_ORIGINS",
    "",
    "comma-separated origins such as https://dashboard.example.com, or empty for any origin",
    origins,
)
SUBPROTOCOLS = Variable(
    "SUBPROTOCOLS",
    "",
    "comma-separated WebSocket subprotocols to select when offered, or empty for none",
    subprotocols,
)
MAX_CONNECTIONS_PER_CLIENT = Variable(
    "MAX_CONNECTIONS_PER_CLIENT", "", "a positive integer, or empty for no limit", limit
)
EVENT_BUS = Variable(
    "EVENT_BUS",
    "",
    "the name of an EventBridge event bus, or empty to publish no events",
    any_text,
)
NOTIFICATIONS_TOPIC = Variable(
    "NOTIFICATIONS_TOPIC",
    "IncidentNotifications-dev",
    "the name of the SNS topic for notifications",
    some_text,
)
HISTORY_TABLE = Variable(
    "HISTORY_TABLE",
    "",
    "the name of the DynamoDB table for the history of notifications, or empty for no history",
    any_text,
)
HISTORY_HOURS = Variable(
    "HISTORY_HOURS",
    "24",
    "an integer from 1 to 168; missed notifications can be recovered for so long",
    integer(1, 168),
)
RECOVER_OWN = Variable(
    "RECOVER_OWN",
    "authenticated",
    "authenticated, or always to let also clients without AUTH_ISSUER or AUTHORIZER_CLIENT recover "
    "what was sent to their clientId",
    choice("authenticated", "always"),
)
KEEP_ALIVE_SECONDS = Variable(
    "KEEP_ALIVE_SECONDS",
    "300",
    "an integer from 30 to 540, told to clients: how often to ping",
    integer(30, 540),
)
SILENT_AFTER_SECONDS = Variable(
    "SILENT_AFTER_SECONDS",
    "",
    "an integer from 60 to 600, at least twice KEEP_ALIVE_SECONDS plus 30, or empty; the sweep "
    "closes connections whose client was silent for longer",
    optional(integer(60, 600)),
)
SPREAD_SECONDS = Variable(
    "SPREAD_SECONDS",
    "5",
    "an integer from 0 to 3600, told to clients: over how long to spread their reconnects",
    integer(0, 3600),
)
UNCLAIMED_QUEUE = Variable(
    "UNCLAIMED_QUEUE",
    "",
    "the name of the SQS queue for notifications that may have reached nobody, or empty to "
    "announce none",
    queue,
)
UNCLAIMED_SECONDS = Variable(
    "UNCLAIMED_SECONDS",
    "30",
    "an integer from 15 to 900; named clients have so long to fetch a notification",
    integer(15, 900),
)
SWEEP_MINUTES = Variable("SWEEP_MINUTES", "5", "an integer from 1 to 60", integer(1, 60))
MANAGEMENT_ENDPOINT = Variable(
    "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI",
    "",
    "an HTTPS URL to call instead of API Gateway's `@connections` endpoint, or empty",
    address,
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
