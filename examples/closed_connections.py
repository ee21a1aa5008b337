"""A Lambda function that receives the events of ended connections from EventBridge.

It prints one line for each end, unless the event is a repeat. Replace `act` with what you need:
show that somebody left, or page somebody if a sensor's connection is gone.
"""

import json
from typing import Any

# EventBridge, and the project after a lost answer, may send an event twice, with the same id. This
# environment remembers its own; where a repeat does harm, keep the ids in a table instead.
REMEMBERED = 1000
_seen: dict[str, None] = {}


def handler(event: dict[str, Any], context: object) -> None:
    """Act on the end of a connection once. EventBridge invokes it; set it as `….handler`."""
    del context
    ended = event["detail"]
    if ended["id"] in _seen:
        return
    act(ended)
    _seen[ended["id"]] = None  # only now: after an exception, Lambda sends the event again
    if len(_seen) > REMEMBERED:
        del _seen[next(iter(_seen))]


def act(ended: dict[str, Any]) -> None:
    """Print who left, and why."""
    line = {name: ended[name] for name in ("clientId", "connectionId", "cause", "duration")}
    print(json.dumps({"message": "connection ended", **line}))
