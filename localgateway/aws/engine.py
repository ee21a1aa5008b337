"""The embedded AWS: moto behind one event loop, as a child process.

moto keeps everything in memory and holds the interpreter lock, so more threads would not be
faster. Calls on items go directly to moto's handler (`items`), other DynamoDB calls to moto's
DynamoDB: moto's dispatcher tries the address of each service, which costs as much as the call. All
other services go through the dispatcher.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import logging
import os
import sys
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import click
import uvicorn
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from uvicorn.middleware.wsgi import build_environ

from localgateway.access import Access, Refusal, allowed_hosts, refuse, signature
from localgateway.aws import event_delivery, items, sns_delivery
from localgateway.aws.comparisons import match_types
from localgateway.aws.engine_socket import EngineSocket
from localgateway.aws.event_source_mappings import Mapping, Mappings
from localgateway.aws.faults import Faults, happens
from localgateway.aws.instances import hoard_nothing
from localgateway.aws.key_types import check_keys_and_conditions
from localgateway.aws.partitions import query_partitions
from localgateway.aws.time_to_live import expire_forever
from localgateway.aws.writes import make_atomic
from localgateway.faults_api import PATH as FAULTS_PATH
from localgateway.faults_api import serve_faults
from localgateway.listener import listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection, Iterable, Sequence

    Application = Callable[[Any, Any], Iterable[bytes]]

_log = logging.getLogger(__name__)

# In bytes; the gateway leaves out longer lines.
_LINE_LIMIT = 1_000_000
_reporting = threading.Lock()

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


# What moto offers beside AWS's services: its own API and the metadata of an EC2 instance.
_MOTO_PATHS = ("/moto-api", "/favicon.ico", "/latest/")
_MOTO_SERVICES = frozenset({"moto_api", "moto-api", "instance_metadata"})
_CORS = "access-control-"
_KEY_MESSAGE = "The security token included in the request is invalid: `make env` prints this run's"
_OTHER_KEY = Refusal("UnrecognizedClientException", _KEY_MESSAGE, HTTPStatus.BAD_REQUEST)
_OTHER_KEY_QUERY = Refusal("InvalidClientTokenId", _KEY_MESSAGE)
_NO_SERVICE = Refusal("UnknownOperationException", "no such service", HTTPStatus.NOT_FOUND)


class Engine:
    """moto as an ASGI application, for requests that are signed with one of `access_keys`.

    Without `access_keys`, every signed request is served.
    """

    def __init__(
        self, faults: Faults, access: Access, access_keys: Collection[str] | None = None
    ) -> None:
        self._faults = faults
        self._access = access
        self._access_keys = access_keys
        self._dynamodb: Application = create_backend_app("dynamodb")
        self._any: Application = DomainDispatcherApplication(create_backend_app)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request, unless it is refused."""
        if refusal := self._refusal(scope):
            await refuse(scope, send, refusal)
            return
        if scope["path"] == FAULTS_PATH:
            await serve_faults(self._faults, scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return  # nobody waits for an answer, and a part of a request must not be carried out
        version, _, operation = _target(scope).partition(".")
        if not version.startswith("DynamoDB_"):
            environ = _environ(scope, body)
            status, headers, answer = await asyncio.to_thread(_call_any, self._any, environ)
        elif await self._fault(operation):
            status, headers, answer = 500, [("Content-Type", "application/x-amz-json-1.0")], _ERROR
        else:
            region = signature(scope["headers"]).region  # type: ignore[union-attr] # it is signed
            status, headers, answer = items.call(operation, body, region) or _call_dynamodb(
                self._dynamodb, operation, _environ(scope, body)
            )
        lines = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
            if not name.lower().startswith(_CORS)
        ]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": answer})

    def _refusal(self, scope: Any) -> Refusal | None:
        if refusal := self._access.refusal(scope["headers"]):
            return refusal
        if scope["path"].startswith(_MOTO_PATHS):
            return _NO_SERVICE
        signed = signature(scope["headers"])
        if isinstance(signed, Refusal):
            return signed
        if signed.service in _MOTO_SERVICES:
            return _NO_SERVICE
        if self._access_keys is not None and signed.access_key not in self._access_keys:
            return _OTHER_KEY if _target(scope) else _OTHER_KEY_QUERY
        return None

    async def _fault(self, operation: str) -> bool:
        if operation not in _ITEM_OPERATIONS:
            return False
        await asyncio.sleep(self._faults.dynamodb_lag / 1000)
        return happens(self._faults.dynamodb_fail)


def configuration(engine: Engine) -> uvicorn.Config:
    """Return the uvicorn configuration for an engine."""
    return uvicorn.Config(
        engine,
        http=EngineSocket,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=3600,  # AWS clients reuse a connection without checking it
    )


def correct_moto() -> None:
    """Make moto, in this process, answer as DynamoDB does where it would not, and hoard nothing."""
    match_types()
    make_atomic()
    check_keys_and_conditions()
    query_partitions()
    hoard_nothing()


def _environ(scope: Any, body: bytes) -> Any:
    return build_environ(scope, {}, io.BytesIO(body))  # type: ignore[arg-type] # unused


async def _body(receive: Any) -> bytes | None:
    """Return the body of a request, or None if the client has left before its end."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _target(scope: Any) -> str:
    return next((value.decode() for name, value in scope["headers"] if name == _TARGET), "")


def _call(application: Application, environ: Any) -> items.Answer:
    started: list[Any] = []
    answer = application(environ, lambda *arguments: started.extend(arguments))
    try:
        body = b"".join(answer)
    finally:
        getattr(answer, "close", lambda: None)()
    status, headers, *_ = started
    return int(status.partition(" ")[0]), headers, body


def _call_dynamodb(application: Application, operation: str, environ: Any) -> items.Answer:
    try:
        return _call(application, environ)
    except Exception as error:  # noqa: BLE001 - what moto raises for calls that it cannot parse
        return items.invalid(operation, error)


def _call_any(application: Application, environ: Any) -> items.Answer:
    try:
        return _call(application, environ)
    except Exception as error:  # noqa: BLE001 - moto does not know all that its services do
        _log.warning("moto raised %r", error)
        return HTTPStatus.INTERNAL_SERVER_ERROR, [], b""


def _listen_to_gateway(mappings: Mappings | None) -> None:
    # Each line has the event source mappings of a version of the project.
    for line in sys.stdin.buffer:
        if mappings is not None:
            mappings.replace(Mapping(**each) for each in json.loads(line)["mappings"])
    os._exit(0)


def _report(what: str, fields: Any) -> None:
    line = json.dumps({"what": what, "fields": fields})
    with _reporting:
        click.echo(line if len(line) < _LINE_LIMIT else json.dumps({"what": what, "fields": {}}))


def _deleted(table: str, key: Any) -> None:
    [value, *_] = (next(iter(each.values())) for each in key.values())
    _report("expired", {"table": table, "key": value})


def _listen(ports: Sequence[int]) -> socket.socket:
    for port in ports[:-1]:
        with contextlib.suppress(OSError):
            return listen("127.0.0.1", port)
    return listen("127.0.0.1", ports[-1])


@click.command()
@click.option("--port", type=int, multiple=True, default=[0])
@click.option("--fail", type=float, default=0.0)
@click.option("--lag", type=float, default=0.0)
@click.option("--repeat", type=float, default=0.0)
@click.option("--shuffle", type=float, default=0.0)
@click.option("--ttl-interval", type=float, default=60.0)
@click.option("--lambda-endpoint")
@click.option("--allow-host", multiple=True)
def main(
    port: tuple[int, ...],
    fail: float,
    lag: float,
    repeat: float,
    shuffle: float,
    ttl_interval: float,
    lambda_endpoint: str | None,
    allow_host: tuple[str, ...],
) -> None:
    """Print the port, then serve until standard input ends, and print what the gateway shows.

    It listens on the first `--port` that is free; if none is, it prints the error. Without
    `--lambda-endpoint`, nothing is delivered to functions. Other users can see arguments, so the
    access keys come in the environment: `ACCESS_KEYS`, with commas, where `*` means any; without
    it, `AWS_ACCESS_KEY_ID`.
    """
    logging.basicConfig(format="engine: %(message)s")
    mappings, faults = None, Faults(fail, lag, repeat, shuffle)
    if lambda_endpoint:
        sns_delivery.report_by(functools.partial(_report, "published"))
        invoke = functools.partial(sns_delivery.invoke_at, lambda_endpoint)
        sns_delivery.deliver_by(
            lambda *delivery: faults.deliver(functools.partial(invoke, *delivery))
        )
        event_delivery.deliver_by(invoke)
        mappings = Mappings(lambda_endpoint)
    try:
        listener = _listen(port)
    except OSError as error:
        click.echo(json.dumps({"port": port[-1], "error": [error.errno, error.strerror]}))
        return
    threading.Thread(target=_listen_to_gateway, args=(mappings,), daemon=True).start()
    chosen = listener.getsockname()[1]
    click.echo(json.dumps({"port": chosen}))
    expiring = (chosen, ttl_interval, _deleted)
    threading.Thread(target=expire_forever, args=expiring, daemon=True).start()
    keys = os.environ.get("ACCESS_KEYS", os.environ["AWS_ACCESS_KEY_ID"]).split(",")
    access = Access(allowed_hosts("127.0.0.1", allow_host))
    correct_moto()
    engine = Engine(faults, access, None if "*" in keys else frozenset(keys))
    uvicorn.Server(configuration(engine)).run(sockets=[listener])


if __name__ == "__main__":
    main()
