"""The process of an execution environment: runs one function, one event at a time.

The gateway starts it as a script, so that a function cannot import the gateway; it uses the
standard library only. As in Lambda, environment variables configure it:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

The only argument is the descriptor of a socket. Over it, the gateway sends an invocation as a line
of JSON and receives the result as another. The first line back reports the import of the app.
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
        """Return the time until the function's timeout, in ms."""
        return max(0, round((self._deadline - time.time()) * 1000))


def main() -> None:
    """Import the app, then run the function on events until the gateway closes the channel."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    threading.Thread(target=_exit_with, args=(channel,), daemon=True).start()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # it is a text stream
    # Like Lambda, add a handler to the root logger before the app is imported: a later
    # logging.basicConfig() of the app has no effect.
    logging.basicConfig(stream=sys.stdout, format="[%(levelname)s]\t%(asctime)s\t%(message)s")
    with channel.makefile("rw", encoding="utf-8", newline="\n") as lines:
        try:
            handler = _load(os.environ["_HANDLER"])
        except Exception:  # noqa: BLE001 - an app may raise anything; its author needs the traceback
            _respond(lines, {"error": traceback.format_exc()})
            return
        _respond(lines, {"result": None})
        for line in lines:
            _respond(lines, _handle(handler, json.loads(line)))


def _exit_with(channel: socket.socket) -> None:
    # If the gateway is killed, a hung handler would keep running; POLLHUP on the channel, which
    # poll always reports, is the only signal.
    poll = select.poll()
    poll.register(channel, 0)
    poll.poll()
    os._exit(0)


def _load(handler: str) -> Handler:
    project = Path.cwd()
    # Replace this script's folder; Chalice deploys the contents of vendor/ beside the app.
    sys.path[0] = str(project)
    sys.path.append(str(project / "vendor"))
    module, _, name = handler.rpartition(".")
    _keep_websocket_api_local()
    loaded: Handler = getattr(importlib.import_module(module), name)
    return loaded


def _keep_websocket_api_local() -> None:
    # Chalice hard-codes https:// and an AWS domain in this address and has no setting for it.
    from chalice.app import WebsocketAPI

    WebsocketAPI._WEBSOCKET_ENDPOINT_TEMPLATE = os.environ[
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"
    ]


def _handle(handler: Handler, invocation: dict[str, Any]) -> dict[str, Any]:
    context = Context(invocation["requestId"], invocation["deadline"])
    try:
        result = handler(invocation["event"], context)
        json.dumps(result)
    except Exception as error:  # noqa: BLE001 - as in Lambda, an exception is a response
        trace = traceback.format_exc()
        print(f"[ERROR] {context.function_name} {trace}", file=sys.stderr)  # noqa: T201
        return {"error": trace.rstrip().rpartition("\n")[2], "raised": _raised(error, context)}
    return {"result": result}


def _raised(error: Exception, context: Context) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": context.aws_request_id,
        "stackTrace": traceback.format_tb(error.__traceback__)[
            1:
        ],  # without the frame of this file
    }


def _respond(lines: Any, message: dict[str, Any]) -> None:
    lines.write(json.dumps(message) + "\n")
    lines.flush()


if __name__ == "__main__":
    main()
