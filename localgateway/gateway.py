"""Starts the parts of the gateway, connects them and stops them again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import resource
import sys
from typing import TYPE_CHECKING

from localgateway import embedded_aws, run_file
from localgateway.access import Access, allowed_hosts
from localgateway.access_log import written_to
from localgateway.api_gateway.connections import Registry
from localgateway.api_gateway.connections_api import connections_api
from localgateway.api_gateway.events import Api
from localgateway.api_gateway.faults import Faults
from localgateway.api_gateway.server import OTHER_SOCKETS, Server, configuration
from localgateway.api_gateway.timeouts import Timeouts
from localgateway.api_gateway.websocket_api import WebSocketApi
from localgateway.console.console import Console, Subject
from localgateway.errors import AddressError
from localgateway.faults_api import serve_faults
from localgateway.forwarding import Forwarder
from localgateway.lambda_runtime import project
from localgateway.lambda_runtime.invoke_api import Invocations
from localgateway.listener import listen_as_localhost
from localgateway.observer.observer import Observer
from localgateway.observer.reports import record_reports
from localgateway.one_address import OneAddress
from localgateway.process_environment import Credentials, embedded, shell_credentials, with_dynamodb
from localgateway.reloading import Reloader
from localgateway.run_file import Run
from localgateway.startup import startup_text
from localgateway.terminal_log import TerminalLog
from localgateway.versions import Versions

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from localgateway.child_processes import Child
    from localgateway.lambda_runtime.function_log import LogSink
    from localgateway.options import Options

# Open files besides clients' sockets: channels, pipes, the embedded AWS.
_OTHER_FILES = 200

_log = logging.getLogger(__name__)


async def serve(options: Options, started: Callable[[str, Callable[[], None]], None]) -> None:
    """Serve until stopped; raise `GatewayError` if it cannot start or continue.

    Once it serves, it calls `started` with the start-up text and the function that stops it.
    """
    _allow_files(options.max_connections + OTHER_SOCKETS + _OTHER_FILES)
    listeners = _listen(options.host, options.port)
    async with contextlib.AsyncExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        port = listeners[0].getsockname()[1]
        authority = _authority(options.host, port)
        credentials = Credentials()
        own = embedded(os.environ, credentials, options.region)
        engine = await embedded_aws.start(options, f"http://{authority}", own, os.environ)
        stack.push_async_callback(engine.stop)
        folder = stack.enter_context(run_file.snapshots())
        reloader = Reloader(options, folder, own) if options.reload else None
        engine_url, described = await asyncio.gather(
            embedded_aws.url(engine),
            reloader.first() if reloader else project.inspect(options.project, options.stage, own),
        )
        variables = with_dynamodb(own, os.environ, engine_url, options.dynamodb_endpoint)
        tables = await embedded_aws.create_resources(options, variables)
        topics = await embedded_aws.connect_functions(engine, described, options.stage, variables)
        api = Api(described.api_stage, authority, port)
        address = f"{authority}/{api.stage}"
        function_variables = {
            **variables,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"http://{address}",
            "AWS_ENDPOINT_URL_LAMBDA": f"http://{authority}",
        }
        log = stack.enter_context(_terminal_log(described.app, options))
        observer = Observer()
        versions = Versions(options, function_variables, log, observer)
        stack.push_async_callback(versions.stop)
        invocations = Invocations(versions.functions)
        stack.push_async_callback(invocations.stop)
        registry = Registry(options.max_connections)
        faults = Faults(options.drop_disconnects, options.drop_posts)
        subject = Subject(
            options.stage, f"ws://{address}", tables, topics, function_variables, versions.serving
        )
        console = Console(subject, observer, faults)
        stack.push_async_callback(console.stop)
        application = _application(
            api,
            registry,
            versions,
            invocations,
            options,
            Forwarder(engine_url),
            credentials.access_key,
            observer,
            faults,
            console,
        )
        shown = console.address(authority)
        run = _run_of(api, described, options, credentials, variables, topics, tables, shown)
        stack.enter_context(run_file.written(run))
        text = startup_text(run, options, engine_url)
        configured = configuration(application, options.max_connections)
        server = Server(
            configured, lambda: started(text, server.stop), registry.__len__, console.close
        )
        await versions.serve(described)
        reporting = asyncio.create_task(record_reports(engine.lines(), observer))
        stack.callback(reporting.cancel)
        if reloader:
            await stack.enter_async_context(reloader.running(versions, engine, variables))
        await _run(server, listeners, engine)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning(
            "open-file limit is %d, too low for --max-connections; raise it with ulimit -n", allowed
        )


@contextlib.contextmanager
def _terminal_log(app: str, options: Options) -> Iterator[LogSink]:
    """Run the log; yield what writes the lines of functions."""
    if options.log == "json":
        both = TerminalLog(sys.stderr, plain=True, output=sys.stdout)
        with both.running() as log, written_to(log.write):
            yield log.write_output
        return
    with TerminalLog(sys.stdout).running() as log:

        def write(function: str, line: bytes) -> None:
            short = function.removeprefix(f"{app}-{options.stage}-").removeprefix("websocket_")
            log.write(short, line)

        with written_to(write):
            yield write


def _listen(host: str, port: int) -> list[socket.socket]:
    try:
        listeners, missing = listen_as_localhost(host, port)
    except OSError as error:
        raise AddressError(host, port, error) from error
    if missing is not None:
        _log.warning("no IPv6 (%s): localhost reaches the gateway over IPv4 only", missing.strerror)
    return listeners


def _authority(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    name = f"[{reachable}]" if ":" in reachable else reachable
    return f"{name}:{port}"


def _application(
    api: Api,
    registry: Registry,
    versions: Versions,
    invocations: Invocations,
    options: Options,
    others: Forwarder,
    access_key: str,
    observer: Observer,
    faults: Faults,
    console: Console,
) -> ASGIApp:
    timeouts = Timeouts(options.idle_timeout, options.max_duration)
    websockets = WebSocketApi(
        api, versions.routes, registry, timeouts, faults, versions.settings, observer
    )
    http = OneAddress(
        Access(allowed_hosts(options.host, options.allow_host)),
        api.stage,
        connections_api(api.stage, registry, faults, observer),
        invocations.application(),
        others,
        functools.partial(serve_faults, faults),
        access_key,
        console.application(),
    )

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        # Starlette's router would keep its layers in memory for each connection.
        if scope["type"] == "websocket":
            await websockets(scope, receive, send)
        else:
            await http(scope, receive, send)

    return application


def _run_of(
    api: Api,
    described: project.Project,
    options: Options,
    credentials: Credentials,
    variables: Mapping[str, str],
    topics: list[str],
    tables: list[str],
    console: str,
) -> Run:
    # The shell's own credentials, for another DynamoDB, stay in the shell.
    foreign = shell_credentials(os.environ) if options.dynamodb_endpoint else {}
    settings = {
        name: value
        for name, value in variables.items()
        if name.startswith("AWS_") and name not in foreign
    }
    prefix = f"{described.app}-{options.stage}-"
    return Run(
        pid=os.getpid(),
        port=api.port,
        project=str(options.project),
        app=described.app,
        stage=options.stage,
        url=f"ws://{api.domain_name}/{api.stage}",
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        variables={**settings, "AWS_ENDPOINT_URL": f"http://{api.domain_name}"},
        functions={name.removeprefix(prefix): name for name in described.functions},
        topics=topics,
        tables=tables,
        console=console,
    )


async def _run(server: Server, listeners: list[socket.socket], engine: Child) -> None:
    serving = asyncio.create_task(server.serve(sockets=listeners))
    ended = asyncio.create_task(engine.end())
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        server.stop()
    ended.cancel()
    await serving
    if ended.done() and not ended.cancelled():
        raise ended.result()
