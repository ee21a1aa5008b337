"""The settings, and the only place that reads the environment."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from chalicelib.errors import SettingsError

T = TypeVar("T")

# A century: far beyond any use, and small enough for every reader of an epoch timestamp.
MAX_TTL_HOURS = 876_000
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable: `default` is None when it must be set.

    `parse` makes the value of the text, and raises `ValueError` for what is not accepted.
    """

    name: str
    default: str | None
    accepted: str
    parse: Callable[[str], T]

    def read(self, source: Mapping[str, str]) -> T:
        """Give the value in `source`; raises `SettingsError`."""
        text = source.get(self.name, self.default)
        if text is None:
            raise SettingsError(self.name, None, self.accepted)
        try:
            return self.parse(text.strip())
        except ValueError:
            raise SettingsError(self.name, text, self.accepted) from None


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
    if text.upper() not in LOG_LEVELS:
        raise ValueError
    return text.upper()


CONNECTIONS_TABLE = Variable(
    "CONNECTIONS_TABLE", None, "the name of the DynamoDB table of connections", _some_text
)
TTL_HOURS = Variable(
    "TTL_HOURS", "24", f"a positive number of hours, at most {MAX_TTL_HOURS}", _hours_in_seconds
)
LOG_LEVEL = Variable("LOG_LEVEL", "INFO", "one of " + ", ".join(LOG_LEVELS), _log_level)

VARIABLES = (CONNECTIONS_TABLE, TTL_HOURS, LOG_LEVEL)


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
        connections_table=CONNECTIONS_TABLE.read(source),
        ttl_seconds=TTL_HOURS.read(source),
        log_level=LOG_LEVEL.read(source),
    )
