"""Every setting. Only this module reads the environment."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.errors import SettingsError
from chalicelib.variables import (
    ALLOWED_ORIGINS,
    AUTH_AUDIENCE,
    AUTH_ISSUER,
    AUTH_JWKS_URL,
    AUTHORIZER_CLIENT,
    CONNECTIONS_TABLE,
    EVENT_BUS,
    HISTORY_HOURS,
    HISTORY_TABLE,
    KEEP_ALIVE_SECONDS,
    LOG_CONNECTION_ROWS,
    LOG_LEVEL,
    MANAGEMENT_ENDPOINT,
    MAX_CONNECTIONS_PER_CLIENT,
    MIN_TTL_HOURS,
    NOTIFICATIONS_TOPIC,
    RECOVER_OWN,
    SILENT_AFTER_SECONDS,
    SPREAD_SECONDS,
    STAGE,
    SUBPROTOCOLS,
    SWEEP_MINUTES,
    TOKEN_EXPIRY,
    TTL_HOURS,
    UNCLAIMED_QUEUE,
    UNCLAIMED_SECONDS,
    VARIABLES,
)

# For a ping that takes its time, and the jitter of 10 % in the clients' intervals.
PING_MARGIN_S = 30
_REGION_NAMES = ("AWS_REGION", "AWS_DEFAULT_REGION")
_READ = (*(variable.name for variable in VARIABLES), *_REGION_NAMES)


@dataclass(frozen=True)
class Authentication:
    """The issuer whose tokens clients must send.

    `ends_with_token` says that a connection ends when its token expires.
    """

    issuer: str
    audience: str
    keys_url: str
    ends_with_token: bool = True


@dataclass(frozen=True)
class History:
    """The history of notifications. `keep_seconds` is how long an entry can be recovered.

    `has_own` says that notifications for named clients are recorded, and that each client may
    recover its own. The rest is advice for clients, in s.
    """

    table: str
    keep_seconds: int
    has_own: bool
    keep_alive_seconds: int
    spread_seconds: int


@dataclass(frozen=True)
class Unclaimed:
    """Where clients wait that a notification may not have reached, and for how long in s."""

    queue: str
    seconds: int


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
    silent_after_seconds: int | None
    event_bus: str
    management_endpoint: str
    history: History | None
    unclaimed: Unclaimed | None


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
        silent_after_seconds=_silent_after(source),
        event_bus=EVENT_BUS.read(source),
        management_endpoint=MANAGEMENT_ENDPOINT.read(source),
        history=_history(source),
        unclaimed=_unclaimed(source),
    )


def sweep_minutes(environ: Mapping[str, str] | None = None) -> int:
    """Return the sweep's interval in minutes. Packaging needs it at import."""
    return SWEEP_MINUTES.read(os.environ if environ is None else environ)


def notifications_topic(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of the notifications topic. Packaging needs it at import."""
    return NOTIFICATIONS_TOPIC.read(os.environ if environ is None else environ)


def unclaimed_queue(environ: Mapping[str, str] | None = None) -> str:
    """Return the name of the queue that the function `unclaimed` reads.

    Packaging needs it at import. Without `UNCLAIMED_QUEUE` nothing is sent there, but what is in
    the queue is still announced.
    """
    source = os.environ if environ is None else environ
    return UNCLAIMED_QUEUE.read(source) or f"IncidentUnclaimed-{stage(source)}"


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


def _silent_after(source: Mapping[str, str]) -> int | None:
    """Return after how long a client counts as silent, in s, or None.

    A client whose ping was lost, or came late, has to have the time for another one.
    """
    seconds, keep_alive = SILENT_AFTER_SECONDS.read(source), KEEP_ALIVE_SECONDS.read(source)
    least = 2 * keep_alive + PING_MARGIN_S
    if seconds is not None and seconds < least:
        raise SettingsError(
            SILENT_AFTER_SECONDS.name,
            source[SILENT_AFTER_SECONDS.name],
            SILENT_AFTER_SECONDS.accepted,
            f"KEEP_ALIVE_SECONDS is {keep_alive}, so at least {least}",
        )
    return seconds


def _authentication(source: Mapping[str, str]) -> Authentication | None:
    """Return the token settings. None of them may be set without `AUTH_ISSUER`.

    An audience without an issuer would silently disable authentication.
    """
    issuer, audience = AUTH_ISSUER.read(source), AUTH_AUDIENCE.read(source)
    keys_url, expiry = AUTH_JWKS_URL.read(source), TOKEN_EXPIRY.read(source)
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
        issuer,
        audience,
        keys_url or f"{issuer.rstrip('/')}/.well-known/jwks.json",
        expiry == "close",
    )


def _history(source: Mapping[str, str]) -> History | None:
    """Return the settings of the history. All of them are checked, also without a table.

    Without authentication a client can claim any `clientId`, and would read a day of the
    notifications of another.
    """
    table, hours = HISTORY_TABLE.read(source), HISTORY_HOURS.read(source)
    keep_alive, spread = KEEP_ALIVE_SECONDS.read(source), SPREAD_SECONDS.read(source)
    is_open = RECOVER_OWN.read(source) == "always"
    knows_clients = bool(AUTH_ISSUER.read(source) or AUTHORIZER_CLIENT.read(source))
    if not table:
        return None
    return History(table, hours * 3600, is_open or knows_clients, keep_alive, spread)


def _unclaimed(source: Mapping[str, str]) -> Unclaimed | None:
    queue, seconds = UNCLAIMED_QUEUE.read(source), UNCLAIMED_SECONDS.read(source)
    return Unclaimed(queue, seconds) if queue else None
