"""Puts the gateway together, and takes it apart again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
from typing import TYPE_CHECKING, Any

from localgateway.api_gateway.connections import Registry
from localgateway.api_gateway.connections_api import connections_api
from localgateway.api_gateway.events import Api
from localgateway.api_gateway.server import OTHER_SOCKETS, Server, configuration
from localgateway.api_gateway.timeouts import Timeouts
from localgateway.api_gateway.websocket_api import WebSocketApi
from localgateway.child_processes import Child
from localgateway.errors import AddressError
from localgateway.lambda_runtime import project, schedules
from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.invoke_api import PREFIX, Invocations
from localgateway.listener import listen
from localgateway.process_environment import REGION, embedded, with_dynamodb
from localgateway.startup import announcement

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from localgateway.options import Options

_ENGINE_LIMIT = 60.0
_TABLES_LIMIT = 60.0
_TOPICS_LIMIT = 60.0
# Files that are no socket of a client: channels, pipes, the engine.
_OTHER_FILES = 200

_log = logging.getLogger(__name__)


async def serve(options: Options, started: Callable[[str, Callable[[], None]], None]) -> None:
    """Serve until stopped; raises GatewayError if it cannot start or go on.

    Once it serves, `started` is given what to tell the user and the function that stops it.
    """
    _allow_files(options.max_connections + OTHER_SOCKETS + _OTHER_FILES)
    listener = _listen(options.host, options.port)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(listener)
        authority = _authority(listener, options.host)
        engine = await _start_engine(options, f"http://{authority}")
        stack.push_async_callback(engine.stop)
        said, described = await asyncio.gather(
            engine.line(_ENGINE_LIMIT),
            project.inspect(options.project, options.stage, embedded(os.environ)),
        )
        engine_url = f"http://127.0.0.1:{json.loads(said)['port']}"
        variables = with_dynamodb(os.environ, engine_url, options.dynamodb_endpoint)
        await _make_tables(options, variables)
        topics = await _subscribe(described, variables)
        api = Api(described.api_stage, authority, listener.getsockname()[1])
        address = f"{authority}/{api.stage}"
        surroundings = {
            **variables,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"http://{address}",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://{authority}",
        }
        functions = {
            name: Function(definition, described.folder, surroundings, options.environments)
            for name, definition in described.functions.items()
        }
        for function in functions.values():
            stack.push_async_callback(function.stop)
        invocations = Invocations(functions)
        stack.push_async_callback(invocations.stop)
        application = _application(api, described, functions, invocations, options)
        text = announcement(described, options, address, engine_url, topics)
        configured = configuration(application, options.max_connections)
        server = Server(configured, lambda: started(text, server.stop))
        await stack.enter_async_context(_scheduled(described.schedules, functions, options))
        await _run(server, listener, engine)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning(
            "%d files may be open, so not all of the connections fit: see ulimit -n", allowed
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        raise AddressError(host, port, error) from error


def _authority(listener: socket.socket, host: str) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    name = f"[{reachable}]" if ":" in reachable else reachable
    return f"{name}:{listener.getsockname()[1]}"


async def _start_engine(options: Options, lambda_endpoint: str) -> Child:
    return await Child.start(
        "embedded AWS",
        "localgateway.aws.engine",
        f"--port={options.dynamodb_port}",
        f"--fail={options.dynamodb_fail}",
        f"--lag={options.dynamodb_lag_ms / 1000}",
        f"--ttl-interval={options.ttl_interval}",
        f"--lambda-endpoint={lambda_endpoint}",
        environ=embedded(os.environ),
    )


async def _make_tables(options: Options, variables: Mapping[str, str]) -> None:
    resources = options.project / ".chalice" / "resources.json"
    if resources.exists():
        child = await Child.start(
            "making of the tables",
            "provision",
            f"--stage={options.stage}",
            f"--resources={resources}",
            environ=variables,
        )
        try:
            await child.success(_TABLES_LIMIT)
        finally:
            await child.stop()


async def _subscribe(described: project.Project, variables: Mapping[str, str]) -> list[str]:
    """Subscribe functions to their topics, which are made; give the ARNs of the topics."""
    if not described.subscriptions:
        return []
    child = await Child.start(
        "subscribing to the topics",
        "localgateway.aws.sns_subscriptions",
        *(text for each in described.subscriptions for text in (each.topic, each.function)),
        environ=variables,
    )
    try:
        arns: list[str] = json.loads(await child.line(_TOPICS_LIMIT))
    finally:
        await child.stop()
    return arns


def _application(
    api: Api,
    described: project.Project,
    functions: Mapping[str, Function],
    invocations: Invocations,
    options: Options,
) -> ASGIApp:
    registry = Registry(options.max_connections)
    by_route = {key: functions[name] for key, name in described.routes.items()}
    timeouts = Timeouts(options.idle_timeout, options.max_duration)
    websockets = WebSocketApi(api, by_route, registry, timeouts, options.drop_disconnects)
    connections = connections_api(api.stage, registry)
    lambda_ = invocations.application()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        # Not through Starlette's router: its layers would stay in memory for each connection.
        if scope["type"] == "websocket":
            await websockets(scope, receive, send)
        elif scope["path"].startswith(PREFIX):
            await lambda_(scope, receive, send)
        else:
            await connections(scope, receive, send)

    return application


@contextlib.asynccontextmanager
async def _scheduled(
    rules: Iterable[project.Schedule], functions: Mapping[str, Function], options: Options
) -> AsyncIterator[None]:
    tasks: list[asyncio.Task[Any]] = []
    for rule in rules:
        every = options.schedule_every or schedules.period(rule.expression)
        if every is None:
            _log.warning("%s is not run here: %s is not a rate", rule.rule, rule.expression)
        else:
            run = schedules.run(rule.rule, every, functions[rule.function], REGION)
            tasks.append(asyncio.create_task(run))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(server: Server, listener: socket.socket, engine: Child) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    ended = asyncio.create_task(engine.end())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        server.stop()
    ended.cancel()
    await serving
    if ended.done() and not ended.cancelled():
        raise ended.result()
