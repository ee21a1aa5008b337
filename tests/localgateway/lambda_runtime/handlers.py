"""Functions without a gateway: a folder with handlers, run in real execution environments."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from localgateway.lambda_runtime.function_log import LogSink
from localgateway.lambda_runtime.functions import Function
from localgateway.lambda_runtime.outcomes import Outcome
from localgateway.lambda_runtime.project import FunctionDefinition
from localgateway.observer.observer import Observer
from localgateway.process_environment import Credentials, embedded
from tests.localgateway.support import PATIENCE

T = TypeVar("T")

HANDLERS = """
import os, sys, threading, time

def echo(event, context):
    print("said", event)
    return {"event": event, "pid": os.getpid()}

def hang(event, context):
    time.sleep(600)

def die(event, context):
    os.kill(os.getpid(), 9)

def leave(event, context):
    sys.exit(1)

def unserializable(event, context):
    return {1, 2}

def told(event, context):
    if "touch" in event:
        open(event["touch"], "w").close()
    if event.get("raise"):
        raise ValueError("as told")
    time.sleep(event.get("seconds", 0))
    return os.getpid()
"""


def with_function(
    project: Path,
    handler: str,
    use: Callable[[Function], Awaitable[T]],
    *,
    timeout: int = 30,
    size: int = 1,
    log: LogSink = lambda *_: None,
    observer: Observer | None = None,
) -> T:
    """Run `use` with a function in an event loop, then stop its environments."""

    async def run() -> T:
        definition = FunctionDefinition("sample", handler, timeout, 128)
        variables = {
            **embedded(os.environ, Credentials()),
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": "http://x",
        }
        function = Function(definition, project, variables, size, observer or Observer(), log)
        try:
            async with asyncio.timeout(PATIENCE * 2):
                return await use(function)
        finally:
            await function.stop()

    return asyncio.run(run())


def invoked(project: Path, handler: str, event: Any = None, *, timeout: int = 30) -> Outcome:
    """Invoke a function once and return the outcome."""
    return with_function(project, handler, lambda function: function.invoke(event), timeout=timeout)
