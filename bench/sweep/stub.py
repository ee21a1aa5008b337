"""A stub of DynamoDB and of `@connections`: `python -m bench.sweep.stub ROWS`.

It holds a table of ROWS connections that is made up as it is read, so that any size is there at
once: of 200 rows one is older than 2 hours and one is gone, the others live. Conditions are taken
to hold. It prints its port, answers `GET /counts` with the calls that it has answered, and ends
when it is interrupted.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from bench.fanout.signatures import HEAD_END
from bench.fanout.stub import size

CYCLE = 200
OLD, GONE = 0, 100  # the places in a cycle; all others live
OLD_MS = 3 * 3600 * 1000
AGE_MS = 10 * 60 * 1000
A_PAGE = 2000  # rows in 1 MB, which is what DynamoDB gives when there is no limit
SWEEP_ROW = "#sweep"
GONE_ANSWER = b"x-amzn-ErrorType: GoneException\r\n"
LIVE_BODY = json.dumps(
    {
        "connectedAt": "2024-11-12T10:00:00.000Z",
        "identity": {"sourceIp": "203.0.113.7", "userAgent": "Mozilla/5.0"},
        "lastActiveAt": "2024-11-12T10:05:00.000Z",
    }
).encode()


def connection_id(number: int) -> str:
    """Return the id of a row; the ids are in the order of the numbers."""
    return f"L0SM9cOF{number:07}="


def number_of(name: str) -> int:
    """Return the row of an id."""
    return int(name[8:15])


@dataclass
class Table:
    """The rows of a table, their API, and what was asked of both."""

    rows: int
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    removed: set[int] = field(default_factory=set)
    position: dict[str, Any] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def item(self, number: int) -> dict[str, Any]:
        """Make a row as `$connect` writes it."""
        created_at = self.now_ms - (OLD_MS if number % CYCLE == OLD else AGE_MS)
        return {
            "connectionId": {"S": connection_id(number)},
            "createdAt": {"N": str(created_at)},
            "ttl": {"N": str(created_at // 1000 + 86_400)},
            "clientId": {"S": f"user-{number}"},
            "knownClientId": {"S": f"user-{number}"},
            "connectedAt": {"N": str(created_at)},
            "sourceIp": {"S": "203.0.113.7"},
            "userAgent": {"S": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0"},
            "region": {"S": "eu-west-1"},
            "apiId": {"S": "abcdef1234"},
            "stage": {"S": "dev"},
            "domainName": {"S": "abcdef1234.execute-api.eu-west-1.amazonaws.com"},
        }

    def dynamodb(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Carry out an operation."""
        self.calls[operation] += 1
        if operation == "Scan":
            return self._scan(asked)
        if operation == "DeleteItem":
            number = number_of(asked["Key"]["connectionId"]["S"])
            self.removed.add(number)
            return {"Attributes": self.item(number)}
        if operation == "PutItem":
            self.position = {"Item": asked["Item"]}
        if operation == "UpdateItem":  # the lease, which is free
            return {"Attributes": self.position.get("Item", {})}
        return self.position if operation == "GetItem" else {}

    def _scan(self, asked: dict[str, Any]) -> dict[str, Any]:
        after = asked.get("ExclusiveStartKey")
        first = number_of(after["connectionId"]["S"]) + 1 if after else 0
        end = min(self.rows, first + asked.get("Limit", A_PAGE))
        items = [self.item(number) for number in range(first, end) if number not in self.removed]
        answer: dict[str, Any] = {"Items": items, "Count": len(items), "ScannedCount": len(items)}
        if end < self.rows:
            answer["LastEvaluatedKey"] = {"connectionId": {"S": connection_id(end - 1)}}
        return answer

    def probe(self, name: str) -> bool:
        """Tell whether a connection lives."""
        place = number_of(name) % CYCLE
        self.calls["probe of an old row" if place == OLD else "probe"] += 1
        return place not in (OLD, GONE)

    def counts(self) -> dict[str, int]:
        """Return the calls, and how many rows were removed rightly and wrongly."""
        dead = {number for number in range(self.rows) if number % CYCLE in (OLD, GONE)}
        return {
            **self.calls,
            "removed rightly": len(self.removed & dead),
            "removed wrongly": len(self.removed - dead),
            "left": len(dead - self.removed),
        }


class Client(asyncio.Protocol):
    """One connection to the stub."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (length := size(self._received)) is not None:
            request, self._received = self._received[:length], self._received[length:]
            self._transport.write(self._answer(request))  # type: ignore[attr-defined] # it is a WriteTransport

    def _answer(self, request: bytes) -> bytes:
        head, _, body = request.partition(HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        path = first.split(" ")[1]
        if path == "/counts":
            return _response(json.dumps(self._table.counts()).encode())
        if "/@connections/" in path:
            name = path.rpartition("/")[2].replace("%3D", "=")
            alive = self._table.probe(name)
            return _response(LIVE_BODY) if alive else _response(b"{}", "410 Gone", GONE_ANSWER)
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        operation = headers["x-amz-target"].rpartition(".")[2]
        return _response(json.dumps(self._table.dynamodb(operation, json.loads(body))).encode())


def _response(body: bytes, status: str = "200 OK", headers: bytes = b"") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        + headers
        + b"x-amzn-RequestId: 1f5a1a3e-6f3c-4b0e-9a53-0a1a2b3c4d5e\r\n\r\n"
        + body
    )


async def serve(table: Table) -> None:
    """Serve on a free port until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(table), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(Table(int(sys.argv[1]))))
