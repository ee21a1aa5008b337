"""Signed requests on keep-alive connections, by AWS's C runtime: all that imports `awscrt`.

The runtime has one thread, on which its callbacks run. A lane belongs to whoever sends on it
until its reply is given.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awscrt import auth, http  # type: ignore[import-untyped] # has no types
from awscrt import io as network
from awscrt.exceptions import AwsCrtError  # type: ignore[import-untyped] # same

from chalicelib.management import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from botocore.credentials import Credentials

    from chalicelib.management import Call, Endpoint

MAX_ERROR = 1000  # bytes kept of what the API says


@functools.cache
def _bootstrap() -> Any:
    loop = network.EventLoopGroup(1)
    return network.ClientBootstrap(loop, network.DefaultHostResolver(loop))


@functools.cache
def _tls_context() -> Any:
    return network.ClientTlsContext(network.TlsContextOptions())


def _keep_thread_state() -> None:
    """Make Python keep its state of the runtime's thread, on which this is called.

    For a thread that is not its own, Python makes a state anew at each callback, its stack mapped
    and unmapped again: three times a request, half of what a request costs in CPU. A state that
    has been asked for once more than it was given back stays.
    """
    ctypes.pythonapi.PyGILState_Ensure()


@dataclass(frozen=True)
class SignedRequest:
    """A request of the runtime, and the body that it reads."""

    message: Any
    body: io.BytesIO | None


class Signer:
    """Signs requests with Signature Version 4.

    What it signs with is made anew each second, so that the date is right and credentials that
    expire are the renewed ones.
    """

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self._endpoint = endpoint
        self._authority = endpoint.authority
        self._credentials = credentials
        self._config: Any = None
        self._made_for: tuple[int, bytes] | None = None

    def sign(self, call: Call) -> SignedRequest:
        """Make the signed request of `call`; raises what botocore does without credentials."""
        headers = [("Host", self._authority)]
        if call.method == "POST":
            headers.append(("Content-Length", str(len(call.body))))
        body = io.BytesIO(call.body) if call.body else None
        message = http.HttpRequest(
            call.method,
            self._endpoint.path(call.connection_id),
            http.HttpHeaders(headers),
            body,
        )
        # static credentials make the runtime sign at once, in this thread
        auth.aws_sign_request(message, self._config_for(call.body)).result()
        return SignedRequest(message, body)

    def _config_for(self, body: bytes) -> Any:
        made_for = (int(time.time()), body)
        if made_for != self._made_for:
            keys = self._credentials.get_frozen_credentials()
            self._config = auth.AwsSigningConfig(
                credentials_provider=auth.AwsCredentialsProvider.new_static(
                    keys.access_key, keys.secret_key, keys.token
                ),
                region=self._endpoint.region,
                service="execute-api",
                signed_body_value=hashlib.sha256(body).hexdigest(),
            )
            self._made_for = made_for
        return self._config


class Lane:
    """One keep-alive connection, which carries one request at a time.

    `sent` is False as long as the API cannot have seen the request.
    """

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._connection: Any = None
        self._used = False  # the connection has carried a request before
        self._closed = False
        self.sent = False

    def send(self, request: SignedRequest, done: Callable[[Reply], None]) -> None:
        """Carry `request` and give the reply to `done`, on the runtime's thread.

        After `close`, `done` may never be called.
        """
        self._request = request
        self._done = done
        self._started = time.monotonic()
        self._status: int | None = None
        self._error = ""
        self.sent = self._connection is not None and self._connection.is_open()
        if self.sent:
            self._transmit()
        else:
            self._connect()

    def close(self) -> None:
        """Close the connection and cut what it carries."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> None:
        self._used = False
        options = network.SocketOptions()
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
            stream = self._connection.request(self._request.message, self._on_head, self._on_body)
            stream.completion_future.add_done_callback(self._completed)
            stream.activate()
        except AwsCrtError as error:  # it is closing at this moment
            self._broken(error)

    def _on_head(self, status_code: int, headers: list[tuple[str, str]], **_: object) -> None:
        self._status = status_code
        if status_code >= 400:
            names = [value for name, value in headers if name.lower() == "x-amzn-errortype"]
            self._error = " ".join(names)

    def _on_body(self, chunk: bytes, **_: object) -> None:
        if self._status is not None and self._status >= 400 and len(self._error) < MAX_ERROR:
            self._error += " " + chunk.decode(errors="replace")

    def _completed(self, exchange: Future[Any]) -> None:
        error = exchange.exception()
        if error is None or self._status is not None:
            self._used = True
            self._finish(self._status, self._error.strip()[:MAX_ERROR])
        else:
            self._broken(error)

    def _broken(self, error: BaseException) -> None:
        if self._used and not self._closed:
            if self._request.body is not None:
                self._request.body.seek(0)
            self._connect()
        else:
            self._finish(None, str(error))

    def _finish(self, status: int | None, error: str) -> None:
        self._done(Reply(status, error, time.monotonic() - self._started, self.sent))
