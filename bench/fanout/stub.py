"""A stub `@connections` endpoint: `python -m bench.fanout.stub PORT FILE`.

It answers every request with 200, and writes all that it receives to FILE, for the signatures to
be checked when nothing is timed any more. It ends when it is interrupted.
"""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import BinaryIO

from bench.fanout.signatures import HEAD_END

# the headers that API Gateway answers with, so that each subject parses as much as there
ANSWER = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Tue, 12 Nov 2024 10:00:00 GMT\r\n"
    b"Content-Length: 0\r\n"
    b"Connection: keep-alive\r\n"
    b"x-amzn-RequestId: 1f5a1a3e-6f3c-4b0e-9a53-0a1a2b3c4d5e\r\n"
    b"x-amz-apigw-id: BKd3pHJsjoEFTuA=\r\n\r\n"
)
LENGTH = b"content-length:"


def size(received: bytes) -> int | None:
    """Return the length in bytes of the first request in `received`, or None when it is cut."""
    end = received.find(HEAD_END)
    if end < 0:
        return None
    _, found, rest = received[:end].lower().partition(LENGTH)
    body = int(rest.partition(b"\r\n")[0]) if found else 0
    total = end + len(HEAD_END) + body
    return total if total <= len(received) else None


class Connections(asyncio.Protocol):
    """One client's connection to the stub."""

    def __init__(self, record: BinaryIO) -> None:
        self._record = record
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Record and answer each request that is complete."""
        self._received += data
        while (length := size(self._received)) is not None:
            self._record.write(self._received[:length])
            self._received = self._received[length:]
            self._transport.write(ANSWER)  # type: ignore[attr-defined] # it is a WriteTransport


async def serve(port: int, record: BinaryIO) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connections(record), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("wb") as file, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), file))
