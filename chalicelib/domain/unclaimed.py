"""Nobody home: the named clients that a notification may not have reached.

`notify` sends them to a queue, which delays them. After the delay, `unclaimed` announces those that
have not picked the notification up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import QueuedMessageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A message's clients are announced in one invocation: with ten at most of EventBridge's calls,
# which take ten events or 256 KB each.
CLIENTS_A_MESSAGE = 100
_ANNOUNCED_BYTES = 1_000_000
# What is handed out is claimed for so long after it was recorded. A message waits 15 minutes at
# most, and SQS shows it again for another 15.
CLAIMED_MS = 3_600_000


class Why(StrEnum):
    """Why a notification counts as unclaimed."""

    NOT_CONNECTED = "not connected"
    NOT_RECEIVED = "not received"


@dataclass(frozen=True)
class Claim:
    """An entry was handed to a client that asked for it; `is_received` if one acknowledged it."""

    is_received: bool


@dataclass(frozen=True)
class Waiting:
    """A client that a notification may not have reached.

    `seq` is the notification's number in the client's own stream, None if it is not recorded.
    `is_posted` says that API Gateway took a post of it for one of the client's connections.
    """

    client_id: str
    seq: int | None
    is_posted: bool


@dataclass(frozen=True)
class Queued:
    """A message of the queue: a notification and clients that it may not have reached.

    `sent_at` is epoch ms. With `receipt`, only an acknowledgement counts.
    """

    id: str
    sent_at: int
    subject: str | None
    message: Any
    receipt: bool
    clients: tuple[Waiting, ...]

    def to_text(self) -> str:
        """Return the message as ASCII: SQS refuses some characters that JSON can hold."""
        fields = {
            "type": "unclaimed",
            "id": self.id,
            "sentAt": self.sent_at,
            "subject": self.subject,
            "message": self.message,
            "receipt": self.receipt,
            "clients": [[each.client_id, each.seq, each.is_posted] for each in self.clients],
        }
        return json.dumps(fields, separators=(",", ":"))

    def detail(self, client_id: str, seq: int | None, why: Why) -> dict[str, Any]:
        """Return the `detail` of the event that announces it for one client."""
        return {
            "id": self.id,
            "clientId": client_id,
            "seq": seq,
            "sentAt": self.sent_at,
            "subject": self.subject,
            "message": self.message,
            "why": why.value,
        }


def parse(text: str) -> Queued:
    """Parse a message of the queue. Raises `QueuedMessageError` if it is not one of `notify`'s."""
    try:
        fields = json.loads(text)
        clients = tuple(
            Waiting(str(client_id), None if seq is None else int(seq), is_posted is True)
            for client_id, seq, is_posted in fields["clients"]
        )
        if fields["type"] != "unclaimed" or not 0 < len(clients) <= CLIENTS_A_MESSAGE:
            raise ValueError(fields["type"])
        return Queued(
            str(fields["id"]),
            int(fields["sentAt"]),
            fields["subject"],
            fields["message"],
            fields["receipt"] is True,
            clients,
        )
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise QueuedMessageError(text) from error


def clients_a_message(envelope_bytes: int) -> int:
    """Return how many clients one message may have, for an envelope of this size."""
    return max(1, min(CLIENTS_A_MESSAGE, _ANNOUNCED_BYTES // envelope_bytes))


def unclaimed(queued: Queued, claims: Mapping[str, Claim]) -> Sequence[tuple[Waiting, Why]]:
    """Return the clients to announce, each with the reason. `claims` are by client id."""
    reasons = [
        (client, _why(client, queued.receipt, claims.get(client.client_id)))
        for client in queued.clients
    ]
    return [(client, why) for client, why in reasons if why]


def _why(client: Waiting, receipt: bool, claim: Claim | None) -> Why | None:
    if claim and (claim.is_received or not receipt):
        return None
    return Why.NOT_RECEIVED if receipt and (claim or client.is_posted) else Why.NOT_CONNECTED
