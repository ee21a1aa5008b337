"""The settings, and the only place that reads the environment."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.errors import SettingsError

DEFAULT_TTL_HOURS = "24"
# A century: far beyond any use, and small enough for every reader of an epoch timestamp.
MAX_TTL_HOURS = 876_000
DEFAULT_LOG_LEVEL = "INFO"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Settings:
    """What the environment says, checked."""

    connections_table: str
    ttl_seconds: int
    log_level: str


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ`, by default the process's own environment.

    It is called by each invocation, never at import: packaging imports the application
    without these variables, and `chalice.test.Client` sets them for one call only.

    Raises `SettingsError` for the first variable that is missing or not accepted.
    """
    source = os.environ if environ is None else environ
    return Settings(
        connections_table=_table(source, "CONNECTIONS_TABLE"),
        ttl_seconds=_hours_in_seconds(source, "TTL_HOURS", DEFAULT_TTL_HOURS),
        log_level=_log_level(source, "LOG_LEVEL"),
    )


def _table(source: Mapping[str, str], variable: str) -> str:
    value = source.get(variable)
    if value is None or not value.strip():
        raise SettingsError(variable, value, "the name of the DynamoDB table of connections")
    return value.strip()


def _hours_in_seconds(source: Mapping[str, str], variable: str, default: str) -> int:
    value = source.get(variable, default)
    try:
        hours = float(value)
    except ValueError:
        hours = math.nan
    if not 0 < hours <= MAX_TTL_HOURS:  # NaN fails every comparison
        accepted = f"a positive number of hours, at most {MAX_TTL_HOURS}"
        raise SettingsError(variable, value, accepted)
    return math.ceil(hours * 3600)


def _log_level(source: Mapping[str, str], variable: str) -> str:
    value = source.get(variable, DEFAULT_LOG_LEVEL)
    level = value.strip().upper()
    if level not in LOG_LEVELS:
        raise SettingsError(variable, value, "one of " + ", ".join(LOG_LEVELS))
    return level
