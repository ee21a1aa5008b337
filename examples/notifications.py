"""Shows notifications in a terminal: notifications.py ws://127.0.0.1:8765/dev ada.

The second argument is the `clientId`, if any. None is missed while the connection is down.
"""

import asyncio
import contextlib
import json
import sys

from incident_websocket import Gap, IncidentClient


async def main(address: str, client_id: str | None = None) -> None:
    """Show notifications until the server says goodbye for good."""
    async with IncidentClient(address, client_id=client_id, last=10) as client:
        client.on_state = lambda state: print(state, flush=True)
        client.on_goodbye = lambda goodbye: print("goodbye:", goodbye.reason, flush=True)
        async for item in client:
            if isinstance(item, Gap):
                print("missed:", item, flush=True)
            else:
                print(item.subject or "", json.dumps(item.message), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
