"""Who is here: the question of a back end about many clients, and the answer for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.answers import is_text
from chalicelib.domain.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED = '{"clientIds": ["…"]}, optionally with "look": true or false and "after": "…"'
# The clients in one request, and in one answer.
MOST_CLIENTS = 1000
PAGE_CLIENTS = 100
# The connections of a client that are counted, and of those that are looked at: the newest.
MOST_CONNECTIONS = 100
MOST_LOOKS = 10


@dataclass(frozen=True)
class Question:
    """The clients that are asked about and not answered yet.

    With `look`, API Gateway is asked about their connections, too.
    """

    client_ids: tuple[str, ...]
    look: bool


@dataclass(frozen=True)
class Presence:
    """What is known of one client.

    `since` is when the oldest of its connections was opened, `last_active` when it was last active
    on any of them, both epoch ms. None of them is known of a client without connections.
    """

    client_id: str
    connections: int
    since: int | None
    last_active: int | None

    def to_json(self, *, look: bool) -> dict[str, Any]:
        """Return the part of an answer; `lastActiveAt` is in it only after a look."""
        seen = {"lastActiveAt": self.last_active} if look else {}
        return {
            "clientId": self.client_id,
            "present": self.connections > 0,
            "since": self.since,
            "connections": self.connections,
            **seen,
        }


def parse(event: Mapping[str, Any]) -> Question:
    """Parse a request. Raises `RequestError`, which names the field that is wrong."""
    if unknown := sorted(map(str, event.keys() - {"clientIds", "look", "after"})):
        raise RequestError("field", unknown[0], EXPECTED, None)
    client_ids, look, after = event.get("clientIds"), event.get("look", False), event.get("after")
    if not isinstance(client_ids, list) or not 0 < len(client_ids) <= MOST_CLIENTS:
        seen = f"{len(client_ids)} names" if isinstance(client_ids, list) else client_ids
        raise RequestError("clientIds", seen, f"a list of 1 to {MOST_CLIENTS} names", None)
    for number, client_id in enumerate(client_ids):
        if not is_text(client_id):
            raise RequestError(f"clientIds[{number}]", client_id, "a string, not empty", None)
    if not isinstance(look, bool):
        raise RequestError("look", look, "true or false", None)
    distinct = list(dict.fromkeys(client_ids))
    if after is None:
        return Question(tuple(distinct), look)
    if after not in distinct:
        raise RequestError("after", after, "null or one of clientIds", None)
    return Question(tuple(distinct[distinct.index(after) + 1 :]), look)
