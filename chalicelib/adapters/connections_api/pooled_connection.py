"""A keep-alive HTTP connection of AWS's C runtime.

The runtime has one thread, on which its callbacks run.
"""

from __future__ import annotations

import ctypes
import functools
import time
from typing import TYPE_CHECKING, Any

from awscrt import http, io  # type: ignore[import-untyped] # has no types

from chalicelib.adapters.connections_api.bindings import error_of, start
from chalicelib.adapters.connections_api.calls import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from chalicelib.adapters.connections_api.endpoint import Endpoint
    from chalicelib.adapters.connections_api.signing import SignedRequest

MAX_ERROR = 1000  # bytes kept of an error body
MAX_ANSWER = 16_384  # and of the answer to a GET, which has the client's user agent


@functools.cache
def _bootstrap() -> Any:
    loop = io.EventLoopGroup(1)
    return io.ClientBootstrap(loop, io.DefaultHostResolver(loop))


@functools.cache
def _tls_context() -> Any:
    return io.ClientTlsContext(io.TlsContextOptions())


def _keep_thread_state() -> None:
    """Keep Python's thread state of the runtime's thread, which calls this, between callbacks.

    Python otherwise builds the state anew for each callback in a foreign thread: three times a
    request, half of a request's CPU. A state that was acquired once more than it was released
    stays.
    """
    ctypes.pythonapi.PyGILState_Ensure()


class PooledConnection:
    """One keep-alive connection, which carries one request at a time.

    `sent` is False as long as the API cannot have seen the request. `spare` is a request that has
    had its reply, to be signed again.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._connection: Any = None
        self._binding: Any = None
        self._used = False  # the connection has carried a request before
        self._closed = False
        self.sent = False
        self.spare: SignedRequest | None = None

    def send(self, request: SignedRequest, done: Callable[[Reply], None]) -> None:
        """Send `request` and pass the reply to `done`, on the runtime's thread.

        After `close`, `done` may never be called.
        """
        self._request = request
        self._done = done
        self._started = time.monotonic()
        self._status: int | None = None
        self._error = ""
        self._answer = b""
        self.sent = self._connection is not None and self._connection.is_open()
        if self.sent:
            self._transmit()
        else:
            self._connect()

    def close(self) -> None:
        """Close the connection and abort its request."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> None:
        self._used = False
        options = io.SocketOptions()
        options.connect_timeout_ms = int(self._timeout * 1000)
        tls = None
        if self._endpoint.scheme == "https":
            tls = _tls_context().new_connection_options()
            tls.set_server_name(self._endpoint.host)
        http.HttpClientConnection.new(
            self._endpoint.host, self._endpoint.port, _bootstrap(), options, tls
        ).add_done_callback(self._connected)

    def _connected(self, opening: Future[Any]) -> None:
        _keep_thread_state()
        error = opening.exception()
        if error is not None:
            self._finish(None, str(error))
            return
        self._connection = opening.result()
        self.sent = True
        if self._closed:
            self._connection.close()
        else:
            self._transmit()

    def _transmit(self) -> None:
        try:
            start(self, self._connection, self._request.message)
        except Exception as error:  # noqa: BLE001 - a closing connection raises several types
            self._broken(error)

    def _on_response(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Take the status, and the type of an error."""
        self._status = status
        if status >= 400:
            names = [value for name, value in headers if name.lower() == "x-amzn-errortype"]
            self._error = " ".join(names)

    def _on_body(self, chunk: bytes) -> None:
        """Keep the body of an error, and of the answer to a GET."""
        if self._status is not None and self._status >= 400 and len(self._error) < MAX_ERROR:
            self._error += " " + chunk.decode(errors="replace")
        elif self._request.method == "GET" and len(self._answer) < MAX_ANSWER:
            self._answer += chunk

    def _on_complete(self, code: int) -> None:
        """Report the answer, or what came instead of it."""
        if code == 0 or self._status is not None:
            self._used = True
            self._finish(self._status, self._error.strip()[:MAX_ERROR])
        else:
            self._broken(error_of(code))

    def _broken(self, error: BaseException) -> None:
        if self._used and not self._closed:
            self._request.rewind()
            self._connect()
        else:
            self._finish(None, str(error))

    def _finish(self, status: int | None, error: str) -> None:
        self.spare = self._request
        seconds = time.monotonic() - self._started
        body = self._answer[:MAX_ANSWER].decode(errors="replace") if status == 200 else ""
        self._done(Reply(status, error, seconds, self.sent, body))
