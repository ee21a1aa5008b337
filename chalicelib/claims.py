"""Claims in the history table: which notifications for named clients were picked up.

The claim of an entry stands beside it, under the entry's number made negative.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.table import CONFLICT
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import own_stream
from chalicelib.domain.unclaimed import CLIENTS_A_MESSAGE, Claim
from chalicelib.history import key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.history import History

# What DynamoDB reads in one BatchGetItem: as many as one message of the queue has clients.
KEYS_A_CALL = CLIENTS_A_MESSAGE
PAUSE_S = 0.05


@dataclass(frozen=True)
class Claims:
    """The claims in a history. Every method raises `HistoryError` as those of `History` do.

    `keep_seconds` is how long the history keeps an entry; its claim goes at the same time.
    """

    history: History
    keep_seconds: int

    def hand_out(self, client_id: str, seq: int, at: int) -> None:
        """Note that an entry, recorded at `at` (epoch ms), is handed to a client that asks for it.

        Costs 1 write unit. A claim that is there stays as it is: it may say more.
        """
        try:
            self._put(
                client_id,
                seq,
                at,
                is_received=False,
                ConditionExpression="attribute_not_exists(#stream)",
                ExpressionAttributeNames={"#stream": "stream"},
            )
        except HistoryError as error:
            if error.code != CONFLICT:
                raise

    def receive(self, client_id: str, seq: int, at: int) -> None:
        """Note that a client has acknowledged an entry. Costs 1 write unit."""
        self._put(client_id, seq, at, is_received=True)

    def find(self, numbers: Mapping[str, int]) -> dict[str, Claim]:
        """Return the claims of one entry of each of these clients, read consistently.

        Takes at most `KEYS_A_CALL` clients. Costs 1 read unit for each.
        """
        found: dict[str, Claim] = {}
        streams = {own_stream(client_id): client_id for client_id in numbers}
        table = self.history.table
        keys: Any = [key(own_stream(client_id), -seq) for client_id, seq in numbers.items()]
        while keys:
            requested = {table: {"Keys": keys, "ConsistentRead": True}}
            body = self.history.call("batch_get_item", RequestItems=requested)
            for item in body.get("Responses", {}).get(table, ()):
                is_received = item.get("received", {}).get("BOOL") is True
                found[streams[item["stream"]["S"]]] = Claim(is_received)
            keys = body.get("UnprocessedKeys", {}).get(table, {}).get("Keys")
            if keys:  # throttled
                time.sleep(PAUSE_S)
        return found

    def _put(
        self, client_id: str, seq: int, at: int, *, is_received: bool, **condition: Any
    ) -> None:
        row = key(own_stream(client_id), -seq) | {
            "received": {"BOOL": is_received},
            "ttl": {"N": str(at // 1000 + self.keep_seconds)},
        }
        self.history.call("put_item", TableName=self.history.table, Item=row, **condition)
