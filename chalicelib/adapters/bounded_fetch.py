"""Fetches a document over HTTP within a total time and size.

The timeouts of `urllib` and `http.client` hold for each read of the socket, so that a server which
sends a byte a second keeps them waiting. Here every wait ends at one deadline: for the address of
the host, the connection, TLS, the head of the response and its body.
"""

from __future__ import annotations

import http.client
import io
import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

USER_AGENT = "incident-websocket"
_PORTS = {"http": 80, "https": 443}


class FetchError(Exception):
    """The document could not be fetched; the message says why."""


def fetch(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """Return the document at an HTTP or HTTPS address. Redirects are not followed.

    Raises `FetchError` unless all of it arrives within `timeout_s` seconds and `max_bytes` bytes
    with the status 200.
    """
    deadline = _Deadline(timeout_s)
    try:
        response = _response(url, deadline)
        if response.status != 200:
            raise FetchError(f"the server responded with status {response.status}")
        body = response.read(max_bytes + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from error
    finally:
        deadline.close()
    if len(body) > max_bytes:
        raise FetchError(f"the response is longer than {max_bytes} bytes")
    if response.length:
        raise FetchError("the connection was closed within the response")
    return body


class _Deadline:
    """One moment at which all waiting ends, and the socket that waits."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds
        self._socket: socket.socket | None = None

    def left_s(self) -> float:
        """Return the seconds left. Raises `TimeoutError` when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def use(self, opened: socket.socket) -> socket.socket:
        """Keep a socket, to be closed at the end."""
        self._socket = opened
        return opened

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._socket.close()


class _Reader(io.RawIOBase):
    """Reads from a socket until the deadline."""

    def __init__(self, connected: socket.socket, deadline: _Deadline) -> None:
        self._socket = connected
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(self._deadline.left_s())
        return self._socket.recv_into(buffer)


@dataclass(frozen=True)
class _Stream:
    """What `http.client` needs of a socket; `_Deadline` closes the real one."""

    connected: socket.socket
    deadline: _Deadline

    def sendall(self, data: bytes) -> None:
        self.connected.settimeout(self.deadline.left_s())
        self.connected.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self.connected, self.deadline))

    def close(self) -> None:
        pass


def _response(url: str, deadline: _Deadline) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    connected = _connected(host, port, deadline)
    if parts.scheme == "https":
        connected.settimeout(deadline.left_s())
        context = ssl.create_default_context()
        connected = deadline.use(context.wrap_socket(connected, server_hostname=host))
    connection = http.client.HTTPConnection(host, port)
    connection.sock = _Stream(connected, deadline)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    authority = parts.netloc.rpartition("@")[2]
    headers = {"Host": authority, "User-Agent": USER_AGENT, "Connection": "close"}
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def _connected(host: str, port: int, deadline: _Deadline) -> socket.socket:
    """Connect to the first address of the host that accepts."""
    failure: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        opened = deadline.use(socket.socket(family, kind, protocol))
        try:
            opened.settimeout(deadline.left_s())
            opened.connect(address)
        except OSError as error:
            opened.close()
            failure = error
        else:
            return opened
    raise failure


def _addresses(host: str, port: int, deadline: _Deadline) -> Sequence[Any]:
    """Look the host up in a thread, because a resolver has no deadline."""
    found: queue.SimpleQueue[Callable[[], Sequence[Any]]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            failure = error
            found.put(lambda: _raise(failure))
        else:
            found.put(lambda: addresses)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        return found.get(timeout=deadline.left_s())()
    except queue.Empty:
        raise TimeoutError("timed out") from None


def _raise(error: OSError) -> Sequence[Any]:
    raise error
