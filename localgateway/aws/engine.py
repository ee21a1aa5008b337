"""The embedded AWS: moto behind one event loop, as a child process.

moto keeps everything in memory and holds the interpreter lock, so more threads would not be
faster. DynamoDB calls go directly to moto's DynamoDB: moto's dispatcher tries the address of each
service, which costs as much as the call. All other services go through the dispatcher.
"""

from __future__ import annotations

import asyncio
import functools
import io
import json
import logging
import os
import random
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from uvicorn.middleware.wsgi import build_environ

from localgateway.aws.sns_delivery import deliver_by, invoke_at
from localgateway.aws.time_to_live import expire_forever
from localgateway.listener import listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Application = Callable[[Any, Any], Iterable[bytes]]

_TARGET = b"x-amz-target"
# Operations on tables never fail, so that a gateway with faults can start.
_ITEM_OPERATIONS = frozenset(
    {
        *("PutItem", "GetItem", "DeleteItem", "UpdateItem", "Query", "Scan"),
        *("BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"),
        *("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
    }
)
_ERROR = json.dumps(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "message": "Failed on purpose (--dynamodb-fail)",
    }
).encode()


@dataclass(frozen=True)
class Faults:
    """Faults of DynamoDB: the share of item calls that fail, and the delay of each in seconds."""

    fail: float = 0.0
    lag: float = 0.0


class Engine:
    """moto as an ASGI application."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._dynamodb: Application = create_backend_app("dynamodb")
        self._any: Application = DomainDispatcherApplication(create_backend_app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        body = await _body(receive)
        version, _, operation = _target(scope).partition(".")
        environ = build_environ(scope, {}, io.BytesIO(body))  # type: ignore[arg-type] # unused
        if not version.startswith("DynamoDB_"):
            status, headers, answer = await asyncio.to_thread(_call, self._any, environ)
        elif await self._fault(operation):
            status, headers, answer = 500, [("Content-Type", "application/x-amz-json-1.0")], _ERROR
        else:
            status, headers, answer = _call(self._dynamodb, environ)
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": answer})

    async def _fault(self, operation: str) -> bool:
        if operation not in _ITEM_OPERATIONS:
            return False
        await asyncio.sleep(self._faults.lag)
        return random.random() < self._faults.fail  # noqa: S311 - chance, not secrecy


async def _body(receive: Any) -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _target(scope: Any) -> str:
    return next((value.decode() for name, value in scope["headers"] if name == _TARGET), "")


def _call(application: Application, environ: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    started: list[Any] = []
    answer = application(environ, lambda *arguments: started.extend(arguments))
    try:
        body = b"".join(answer)
    finally:
        getattr(answer, "close", lambda: None)()
    status, headers, *_ = started
    return int(status.partition(" ")[0]), headers, body


def _exit_with_gateway() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


@click.command()
@click.option("--port", type=int, default=0)
@click.option("--fail", type=float, default=0.0)
@click.option("--lag", type=float, default=0.0)
@click.option("--ttl-interval", type=float, default=60.0)
@click.option("--lambda-endpoint")
def main(
    port: int, fail: float, lag: float, ttl_interval: float, lambda_endpoint: str | None
) -> None:
    """Print the port, then serve until standard input ends.

    Without `--lambda-endpoint`, messages of topics are not delivered to functions.
    """
    logging.basicConfig(format="engine: %(message)s")
    threading.Thread(target=_exit_with_gateway, daemon=True).start()
    if lambda_endpoint:
        deliver_by(functools.partial(invoke_at, lambda_endpoint))
    listener = listen("127.0.0.1", port)
    port = listener.getsockname()[1]
    threading.Thread(target=expire_forever, args=(port, ttl_interval), daemon=True).start()
    click.echo(json.dumps({"port": port}))
    config = uvicorn.Config(
        Engine(Faults(fail, lag)),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=3600,  # AWS clients reuse a connection without checking it
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
