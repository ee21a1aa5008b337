"""One execution environment: a process that runs one function, one event at a time.

It is started as a script, so that a function finds nothing of the gateway to import, and it
stands on the standard library alone. As in Lambda, the environment variables say what it is:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

The gateway talks to it over the socket whose number is the only argument, in lines of JSON: an
invocation there, its result back. The first line back says how the import of the app went.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import select
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[Any, "Context"], Any]


class Context:
    """The second argument of a handler.

    https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
    """

    def __init__(self, request_id: str, deadline: float) -> None:
        self._deadline = deadline
        self.aws_request_id = request_id
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.invoked_function_arn = (
            f"arn:aws:lambda:{os.environ['AWS_REGION']}:123456789012:function:{self.function_name}"
        )
        self.client_context = None
        self.identity = None

    def get_remaining_time_in_millis(self) -> int:
        """Give the time left before the environment is killed, in ms."""
        return max(0, round((self._deadline - time.time()) * 1000))


def main() -> None:
    """Import the app, then serve events until the gateway closes the channel."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    threading.Thread(target=_die_with, args=(channel,), daemon=True).start()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # it is a text stream
    # Lambda gives the root logger a handler before the app is imported, so that a later
    # logging.basicConfig() does nothing there; nor does it here.
    logging.basicConfig(stream=sys.stdout, format="[%(levelname)s]\t%(asctime)s\t%(message)s")
    with channel.makefile("rw", encoding="utf-8", newline="\n") as lines:
        try:
            handler = _load(os.environ["_HANDLER"])
        except Exception:  # noqa: BLE001 - whatever an app raises at import is its author's to see
            _answer(lines, {"error": traceback.format_exc()})
            return
        _answer(lines, {"result": None})
        for line in lines:
            _answer(lines, _handle(handler, json.loads(line)))


def _die_with(channel: socket.socket) -> None:
    # A handler that hangs would outlive a gateway that was killed: only the hang-up of the
    # channel, which poll reports without being asked to, tells this process.
    poll = select.poll()
    poll.register(channel, 0)
    poll.poll()
    os._exit(0)


def _load(handler: str) -> Handler:
    project = Path.cwd()
    # In place of this script's own folder; Chalice puts vendor/ beside the app when it deploys.
    sys.path[0] = str(project)
    sys.path.append(str(project / "vendor"))
    module, _, name = handler.rpartition(".")
    _keep_websocket_api_local()
    loaded: Handler = getattr(importlib.import_module(module), name)
    return loaded


def _keep_websocket_api_local() -> None:
    # Chalice writes https:// and an AWS domain into this address; there is no setting for it.
    from chalice.app import WebsocketAPI

    WebsocketAPI._WEBSOCKET_ENDPOINT_TEMPLATE = os.environ[
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"
    ]


def _handle(handler: Handler, invocation: dict[str, Any]) -> dict[str, Any]:
    context = Context(invocation["requestId"], invocation["deadline"])
    try:
        result = handler(invocation["event"], context)
        json.dumps(result)
    except Exception as error:  # noqa: BLE001 - an event's failure is an answer, as in Lambda
        trace = traceback.format_exc()
        print(f"[ERROR] {context.function_name} {trace}", file=sys.stderr)  # noqa: T201
        return {"error": trace.rstrip().rpartition("\n")[2], "raised": _raised(error, context)}
    return {"result": result}


def _raised(error: Exception, context: Context) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": context.aws_request_id,
        "stackTrace": traceback.format_tb(error.__traceback__)[1:],  # without this file's frame
    }


def _answer(lines: Any, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


if __name__ == "__main__":
    main()
