"""The history table: every call on it.

Its key is a stream and a number. Number 0 is the head of a stream, which stays for ever, above it
are the entries, and below it their claims (`claims`).
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import table as tables
from chalicelib.adapters.attempts import ATTEMPT_S, NOT_STARTED, THROTTLING, CallError, call
from chalicelib.clock import now_ms
from chalicelib.domain.errors import HistoryError
from chalicelib.domain.history import Entry, Head, Place, following

if TYPE_CHECKING:
    from typing import Any

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from chalicelib.clock import Deadline

    Item = dict[str, AttributeValueTypeDef]

# One round of an append: a read and a transaction.
ROUND_S = 2 * ATTEMPT_S
# Rounds without an answer after which an append gives up. Conflicts and throttling are not among
# them: they mean that DynamoDB works and others are appending.
LOST_ROUNDS = 3
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.64

_CANCELLED = "TransactionCanceledException"
# Reasons for which a transaction is cancelled and another try may succeed:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_CONTENTION = {
    *("None", "ConditionalCheckFailed", "TransactionConflict"),
    *("ProvisionedThroughputExceeded", "ThrottlingError"),
}


@dataclass(frozen=True)
class Batch:
    """Entries of a stream in ascending order. `reached` is the number up to which it was read."""

    entries: tuple[Entry, ...]
    reached: int


@dataclass(frozen=True)
class History:
    """The streams in one table, for one invocation.

    Every method raises `HistoryError` when DynamoDB does not confirm the operation; its code is
    `NotStarted` when too little time was left before `deadline`. Times are epoch ms.
    """

    client: DynamoDBClient
    table: str
    deadline: Deadline

    def until(self, deadline: Deadline) -> History:
        """Return a history whose calls end by another deadline."""
        return replace(self, deadline=deadline)

    def append(
        self, stream: str, notification_id: str, envelope: str, keep_seconds: int
    ) -> tuple[Place, bool]:
        """Record a notification. Return its place, and whether it was not recorded before.

        The number is given in the transaction that writes the entry, and only if the head has not
        changed: who sees a number sees all entries below it. Costs 1 read unit and 4 write units
        for an entry up to 1 KB. Goes on until the deadline while others append to the stream.
        """
        lost = 0
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                head = self.head(stream)
                found = head and head.find(notification_id)
                if found:
                    return found, False
                return self._write(head, stream, notification_id, envelope, keep_seconds), True
            except HistoryError as error:
                lost += error.is_lost
                if lost >= LOST_ROUNDS or not (error.is_lost or error.is_contended):
                    raise
            time.sleep(random.uniform(0, pause_s))  # noqa: S311 - a pause, not a secret
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    def _write(
        self,
        head: Head | None,
        stream: str,
        notification_id: str,
        envelope: str,
        keep_seconds: int,
    ) -> Place:
        new = following(head, stream, notification_id, now_ms())
        place = Place(stream, new.seq, head.seq if head else 0, new.at)
        entry: Item = key(stream, place.seq) | {
            "prev": {"N": str(place.prev)},
            "id": {"S": notification_id},
            "at": {"N": str(place.at)},
            "envelope": {"S": envelope},
            "ttl": {"N": str(place.at // 1000 + keep_seconds)},
        }
        absent: dict[str, Any] = {
            "ConditionExpression": "attribute_not_exists(#stream)",
            "ExpressionAttributeNames": {"#stream": "stream"},
        }
        unchanged = absent
        if head:
            unchanged = {
                "ConditionExpression": "head = :head",
                "ExpressionAttributeValues": {":head": {"N": str(head.seq)}},
            }
        self.call(
            "transact_write_items",
            ClientRequestToken=str(uuid.uuid4()),  # the same for each attempt of this call
            TransactItems=[
                {"Put": {"TableName": self.table, "Item": _head_item(new), **unchanged}},
                {"Put": {"TableName": self.table, "Item": entry, **absent}},
            ],
        )
        return place

    def head(self, stream: str, *, consistent: bool = True) -> Head | None:
        """Return the head of a stream, or None if nothing was ever recorded in it.

        Costs 1 read unit, half of it unless `consistent`.
        """
        item = self._get(stream, 0, consistent=consistent)
        if item is None:
            return None
        ids = tuple(each["S"] for each in item["ids"]["L"])
        return Head(stream, int(item["head"]["N"]), int(item["at"]["N"]), ids)

    def recorded_at(self, stream: str, seq: int, now: int) -> int | None:
        """Return when an entry was recorded, or None if it is not there or has expired.

        Read consistently: costs 1 read unit for each 4 KB of the entry.
        """
        item = self._get(stream, seq, consistent=True)
        is_there = item is not None and int(item["ttl"]["N"]) > now // 1000
        return int(item["at"]["N"]) if is_there else None

    def read(self, stream: str, after: int, to: int, limit: int, now: int) -> Batch:
        """Return entries above the number `after` up to `to`, at most `limit`, consistently.

        Expired entries, which DynamoDB deletes within days and in any order, are left out.
        """
        body = self.call(
            "query",
            TableName=self.table,
            KeyConditionExpression="#stream = :stream AND seq BETWEEN :from AND :to",
            FilterExpression="#ttl > :now",
            ExpressionAttributeNames={"#stream": "stream", "#ttl": "ttl"},
            ExpressionAttributeValues={
                ":stream": {"S": stream},
                ":from": {"N": str(after + 1)},
                ":to": {"N": str(to)},
                ":now": {"N": str(now // 1000)},
            },
            ConsistentRead=True,
            Limit=limit,
        )
        last = body.get("LastEvaluatedKey")
        reached = int(last["seq"]["N"]) if last else to
        return Batch(tuple(_entry(stream, item) for item in body["Items"]), reached)

    def _get(self, stream: str, seq: int, *, consistent: bool) -> Any:
        body = self.call(
            "get_item", TableName=self.table, Key=key(stream, seq), ConsistentRead=consistent
        )
        return body.get("Item")

    def call(self, method: str, **arguments: Any) -> Any:
        """Call a method of the client, and return the body of the answer."""
        try:
            return call(getattr(self.client, method), self.deadline, **arguments).body
        except CallError as error:
            operation = self.client.meta.method_to_api_mapping[method]
            is_contended = _is_contended(error)
            is_answered = error.code == NOT_STARTED or (error.answered and not error.uncertain)
            raise HistoryError(
                operation,
                self.table,
                error.code,
                error.cause,
                is_lost=not (is_contended or is_answered),
                is_contended=is_contended,
            ) from error


def open_history(table: str, deadline: Deadline) -> History:
    """Open `table` with the client of this execution environment, for calls until `deadline`.

    Raises `HistoryError` when no client can be created, for example without a region.
    """
    try:
        return History(tables.dynamodb(), table, deadline)
    except BotoCoreError as error:
        raise HistoryError("CreateClient", table, type(error).__name__, str(error)) from error


def _is_contended(error: CallError) -> bool:
    """Return whether others append or read at the same time, and another try may succeed."""
    if error.code == _CANCELLED:
        return set(error.reasons) <= _CONTENTION
    return error.code in THROTTLING


def key(stream: str, seq: int) -> Item:
    """Return the key of a row."""
    return {"stream": {"S": stream}, "seq": {"N": str(seq)}}


def _head_item(head: Head) -> Item:
    return key(head.stream, 0) | {
        "head": {"N": str(head.seq)},
        "at": {"N": str(head.at)},
        "ids": {"L": [{"S": each} for each in head.ids]},
    }


def _entry(stream: str, item: Any) -> Entry:
    numbers = (int(item[name]["N"]) for name in ("seq", "prev", "at"))
    return Entry(Place(stream, *numbers), item["id"]["S"], item["envelope"]["S"])
