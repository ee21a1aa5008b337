"""A delivery page by page, as arithmetic: nothing is sent, and nothing depends on the machine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.cost.prices import REGIONS
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.handlers.notify import RESERVE_S
from chalicelib.services.delivery import CONCURRENCY
from chalicelib.services.endings import REMOVALS_AT_ONCE

PRICES = REGIONS["us-east-1"]
# CPU on one core: of a signed post (bench/fanout), and of reading a row out of a page.
POST_CPU_S = 0.000_09
READ_CPU_S = 0.000_04
# A row that knows its client, its browser and its API; none is over 1 KB.
ROW_BYTES = 400
# What a page takes that is not its rows' CPU, and what removing the row of one that is gone takes.
PAGE_S = 0.05
REMOVAL_S = 0.006
HANDING_ON_S = 0.1

REQUEST_S = ConnectionsApiClient.timeout
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html
PAGE_BYTES = 1024 * 1024
READ_UNIT_BYTES = 4096  # twice as many by a read that is eventually consistent, as a scan's is
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_OF_A_CPU = 1769
BILLED_MESSAGE_BYTES = 32 * 1024


@dataclass(frozen=True)
class Circumstances:
    """What a delivery meets.

    `post_s` is how long `@connections` takes to answer, `quota` how many requests a second API
    Gateway lets the account make, `gone` the share of connections that are gone.
    """

    connections: int
    memory_mb: int = 1769
    timeout_s: float = 900
    post_s: float = 0.010
    quota: float = 10_000
    gone: float = 0.01
    envelope_bytes: int = 1000

    @property
    def posts_a_second(self) -> float:
        """Return the rate that CPU, lanes and quota allow, whichever is lowest."""
        cores = min(1.0, self.memory_mb / MB_OF_A_CPU)  # Python's thread does nearly all
        return min(cores / (POST_CPU_S + READ_CPU_S), CONCURRENCY / self.post_s, self.quota)

    @property
    def connection_s(self) -> float:
        """Return what one connection takes on average."""
        return 1 / self.posts_a_second + self.gone * REMOVAL_S / REMOVALS_AT_ONCE

    @property
    def window_s(self) -> float:
        """Return for how long an invocation may begin posts."""
        return self.timeout_s - RESERVE_S - REQUEST_S


@dataclass(frozen=True)
class Course:
    """What came of a delivery; times are in s, money in US dollars."""

    circumstances: Circumstances
    invocations: int
    lambda_s: float
    pages: int
    read_units: float

    @property
    def posts_a_second(self) -> float:
        """Return the posts a second of the whole delivery."""
        return self.circumstances.connections / self.lambda_s

    @property
    def lambda_cost(self) -> float:
        """Return the price of the function's time and invocations."""
        gb_s = self.lambda_s * self.circumstances.memory_mb / 1024
        return gb_s * PRICES.lambda_gb_second + self.invocations * PRICES.lambda_request

    @property
    def dynamodb_cost(self) -> float:
        """Return the price of reading the table and of removing the rows of those that are gone."""
        removals = self.circumstances.connections * self.circumstances.gone
        return self.read_units * PRICES.read_unit + removals * PRICES.write_unit

    @property
    def messages_cost(self) -> float:
        """Return the price of the messages, of which a large envelope is several."""
        each = math.ceil(self.circumstances.envelope_bytes / BILLED_MESSAGE_BYTES)
        return self.circumstances.connections * each * PRICES.message

    @property
    def cost(self) -> float:
        """Return the whole price of the delivery."""
        return self.lambda_cost + self.dynamodb_cost + self.messages_cost


def simulate(circumstances: Circumstances) -> Course:
    """Serve page after page, and hand on when an invocation's time is up.

    An invocation that goes on reads the page again in the middle of which the one before it
    stopped, from the first connection that was not begun.
    """
    page_rows = PAGE_BYTES // ROW_BYTES
    served = invocations = pages = 0
    lambda_s = read_units = 0.0
    while served < circumstances.connections:
        invocations += 1
        clock = 0.0
        while served < circumstances.connections and clock < circumstances.window_s:
            rows = min(page_rows, circumstances.connections - served)
            pages += 1
            read_units += math.ceil(rows * ROW_BYTES / READ_UNIT_BYTES) / 2
            clock += PAGE_S
            room = (circumstances.window_s - clock) / circumstances.connection_s
            begun = min(rows, math.ceil(max(0.0, room)))
            served += begun
            clock += begun * circumstances.connection_s
        handed_on = served < circumstances.connections
        lambda_s += clock + (HANDING_ON_S if handed_on else 0)
    return Course(circumstances, invocations, lambda_s, pages, read_units)
