"""Shows notifications in a terminal: python notifications.py 'ws://127.0.0.1:8765/dev?clientId=ada'.

It pings to stay connected, and connects again after a random wait that doubles with each failure.
"""

import asyncio
import contextlib
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

# In seconds. API Gateway closes connections that are idle for 10 minutes.
PING_EVERY = 300.0
ANSWER_WITHIN = 15.0
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
# Notifications that are remembered: SNS may deliver one twice.
REMEMBERED = 1000


async def main(address: str) -> str:
    """Show notifications until the server does not want this client; return why."""
    seen: dict[str, None] = {}
    longest = FIRST_WAIT
    while True:
        try:
            async with connect(address, open_timeout=ANSWER_WITHIN, ping_interval=None) as socket:
                received = envelopes(socket)
                show(await anext(received), seen)  # usually the answer to the first ping
                longest = FIRST_WAIT
                print("connected", flush=True)
                async for envelope in received:
                    show(envelope, seen)
        except InvalidStatus as error:
            status = error.response.status_code
            if 400 <= status < 500 and status != 429:
                return f"refused with {status}"
            print(f"refused with {status}", flush=True)
        except ConnectionClosed as error:
            if error.rcvd is not None and error.rcvd.code == 1000:
                return "closed by the server"
            print("connection lost", flush=True)
        except (OSError, InvalidHandshake) as error:
            print(f"not connected: {error}", flush=True)
        wait = random.uniform(0, longest)
        longest = min(2 * longest, LONGEST_WAIT)
        await asyncio.sleep(wait)


async def envelopes(socket: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    """Yield what the server sends; raise `TimeoutError` if it does not answer a ping in time."""
    wait = 0.0
    while True:
        try:
            async with asyncio.timeout(wait):
                text = await socket.recv()
        except TimeoutError:
            if wait == ANSWER_WITHIN:
                raise
            await socket.send('{"action": "ping"}')
            wait = ANSWER_WITHIN
        else:
            wait = PING_EVERY
            yield json.loads(text)


def show(envelope: dict[str, Any], seen: dict[str, None]) -> None:
    """Print a notification, unless it came before."""
    if envelope["type"] == "notification" and envelope["id"] not in seen:
        seen[envelope["id"]] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        print(envelope["subject"] or "", json.dumps(envelope["message"]), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(sys.argv[1])))
