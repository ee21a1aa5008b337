"""What clients that read the history ask of a stage, as arithmetic: nothing is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.cost.model import HANDLER_GB, HEADS_S, HEADS_UNITS, RECOVER_S, RECOVER_UNITS
from bench.scale.model import BILLED_MESSAGE_BYTES, PRICES, READ_UNIT_BYTES

# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html (each can be raised, but
# for the last one)
HANDSHAKES_A_SECOND = 500
LONGEST_S = 7200
PING_S = 300
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
PARTITION_UNITS = 3000


@dataclass(frozen=True)
class Steady:
    """Clients that stay connected, ping with heads and recover at the start of each connection."""

    clients: int

    @property
    def requests_a_second(self) -> float:
        """Return the messages that clients send, and their handshakes."""
        return self.clients * (1 / PING_S + 2 / LONGEST_S)

    @property
    def units_an_hour(self) -> float:
        """Return the read units of an hour."""
        return 3600 * self.clients * (HEADS_UNITS / PING_S + RECOVER_UNITS / LONGEST_S)

    @property
    def dynamodb_cost(self) -> float:
        """Return the price of the read units of an hour."""
        return self.units_an_hour * PRICES.read_unit

    @property
    def messages_cost(self) -> float:
        """Return the price of the messages of an hour; each is answered."""
        return 2 * 3600 * self.clients * (1 / PING_S + 1 / LONGEST_S) * PRICES.message

    @property
    def lambda_cost(self) -> float:
        """Return the price of the function `message` in an hour."""
        seconds = 3600 * self.clients * (HEADS_S / PING_S + RECOVER_S / LONGEST_S)
        invocations = 3600 * self.clients * (1 / PING_S + 1 / LONGEST_S)
        return seconds * HANDLER_GB * PRICES.lambda_gb_second + invocations * PRICES.lambda_request


@dataclass(frozen=True)
class Herd:
    """Clients that all lose their connections at once, and miss so many bytes of broadcasts."""

    clients: int
    missed_bytes: int

    @property
    def units(self) -> int:
        """Return the read units of one recovery."""
        return RECOVER_UNITS + math.ceil(self.missed_bytes / READ_UNIT_BYTES)

    @property
    def stream_units(self) -> int:
        """Return those of them that the partition of the stream `all` serves."""
        return self.units - 2  # the row and the head of the client's own stream are elsewhere

    @property
    def wanted_units_a_second(self) -> float:
        """Return what the clients want of that partition while they reconnect."""
        return min(HANDSHAKES_A_SECOND, self.clients) * self.stream_units

    @property
    def recoveries_a_second(self) -> float:
        """Return how many recoveries are answered a second; the others are told `try_again`."""
        return min(HANDSHAKES_A_SECOND, PARTITION_UNITS / self.stream_units)

    @property
    def seconds(self) -> float:
        """Return when the last client has recovered."""
        return self.clients / self.recoveries_a_second

    @property
    def dynamodb_cost(self) -> float:
        """Return the price of the read units."""
        return self.clients * self.units * PRICES.read_unit

    @property
    def messages_cost(self) -> float:
        """Return the price of the requests and of their answers."""
        answer = max(1, math.ceil(self.missed_bytes / BILLED_MESSAGE_BYTES))
        return self.clients * (1 + answer) * PRICES.message
