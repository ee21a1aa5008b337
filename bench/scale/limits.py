"""The limits that a day with very many connections can meet, at their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from bench.scale.recovery import HANDSHAKES_A_SECOND, PARTITION_UNITS
from chalicelib.services.probing import PROBES_A_SECOND


class Limit(StrEnum):
    """A limit; the value is its field in `Limits`."""

    STAGE = "stage_requests"
    HANDSHAKES = "handshakes"
    ACCOUNT = "account_requests"
    ENVIRONMENTS = "environments"
    SCALING = "new_environments"
    TABLE = "table_writes"
    KEY = "key_writes"
    STREAM = "stream_reads"
    SWEEP = "probes"


@dataclass(frozen=True)
class Limits:
    """What AWS and the project allow; each is per second, but for `environments`.

    `stage_requests` are handshakes and messages of clients (`RequestsPerSecond` of the stage prod).
    `account_requests` are these and all `@connections` requests. `new_environments` are those by
    which one function grows. `table_writes` are what a new table takes at once; `key_writes` and
    `stream_reads` are what one partition does.
    """

    stage_requests: float = 500
    handshakes: float = HANDSHAKES_A_SECOND
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    account_requests: float = 10_000
    # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    environments: float = 1000
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html#scaling-rate
    new_environments: float = 100
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
    table_writes: float = 4000
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
    key_writes: float = 1000
    stream_reads: float = PARTITION_UNITS
    probes: float = PROBES_A_SECOND

    def of(self, limit: Limit) -> float:
        """Return the value of a limit."""
        return float(getattr(self, limit))

    def raised(self, limit: Limit, needed: float) -> Limits:
        """Return limits of which one is `needed` and a fifth more, in two digits."""
        return replace(self, **{limit: rounded_up(1.2 * needed)})


# Limits that nothing meets: a day with them shows what is needed.
UNLIMITED = Limits(**dict.fromkeys((each.name for each in fields(Limits)), math.inf))
UNLIMITED = replace(UNLIMITED, probes=Limits().probes)


def rounded_up(value: float) -> float:
    """Return the next number with two digits."""
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return float(math.ceil(value / unit) * unit)
