"""A proxy over real sockets in front of one service, which spoils the calls that it is told to."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from tests.faults.clock import Clock
from tests.faults.spoiling import NO_WORK, Fault, Spoiled

DELAY_S = 0.7  # under every time-out of the functions
DRIP_S = 0.5  # before each piece of an answer that drips


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def encoded(self) -> bytes:
        """Return the answer as it goes over the wire."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class Service(Protocol):
    """What a proxy stands in front of.

    `is_native` says that AWS's C runtime calls the service, whose waits the clock cannot see. An
    answer that drips comes in `pieces`, or byte by byte. botocore's time-out is for each read, so
    nothing would end a call to AWS that drips byte by byte; four pieces last two seconds.
    """

    name: str
    is_native: bool
    pieces: int | None

    def operation(self, request: Request, /) -> str:
        """Return what the request asks for."""

    def answer(self, request: Request) -> Answer:
        """Carry the request out."""

    def failure(self, fault: Fault) -> Answer:
        """Return the answer with which the service throttles, fails or denies."""


@dataclass
class Proxy:
    """Listens in front of `service`; `calls` are the operations asked for, in order."""

    service: Service
    clock: Clock
    calls: list[str] = field(default_factory=list)
    spoiled: tuple[Spoiled, ...] = ()
    struck: int = 0
    port: int = 0
    _listener: socket.socket | None = None
    _open: dict[socket.socket, None] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _is_down_for_ever: bool = False

    @property
    def url(self) -> str:
        """Return the address of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, *spoiled: Spoiled) -> None:
        """Count calls anew and spoil those, without a trace of the calls before."""
        with self._lock:
            self.spoiled, self.struck, self._is_down_for_ever = spoiled, 0, False
            self.calls.clear()
            self.listen()

    def drop_connections(self) -> None:
        """Close the connections that clients keep."""
        with self._lock:
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def listen(self) -> None:
        """Accept connections, also after connections were refused."""
        with self._lock:
            if self._listener is None and not self._is_down_for_ever:
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
                self.port = self._listener.getsockname()[1]
                accepting = threading.Thread(
                    target=self._accept, args=(self._listener,), daemon=True
                )
                accepting.start()

    def refuse(self, *, for_ever: bool = True) -> None:
        """Refuse connections, until time passes unless it is for ever."""
        with self._lock:
            self._is_down_for_ever |= for_ever
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, address = listener.accept()
                serving = threading.Thread(
                    target=self._serve, args=(connection, address[1]), daemon=True
                )
                serving.start()

    def _serve(self, connection: socket.socket, client_port: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open[connection] = None
        try:
            with contextlib.suppress(OSError):
                for request in _requests(connection):
                    if not self._handle(connection, client_port, request):
                        return
        finally:
            self.clock.hung.discard(client_port)
            self.clock.dripping.pop(client_port, None)
            self._open.pop(connection, None)
            connection.close()

    def _strike(self, request: Request) -> Spoiled | None:
        """Count the call and return what spoils it."""
        with self._lock:
            self.calls.append(self.service.operation(request))
            found = next((each for each in self.spoiled if each.includes(self.calls)), None)
            self.struck += found is not None
            return found

    def _handle(self, connection: socket.socket, client_port: int, request: Request) -> bool:
        """Answer a request or spoil it; return whether the connection stays."""
        arrived = self.clock.now()
        self.clock.dripping.pop(client_port, None)
        strike = self._strike(request)
        fault = strike.fault if strike else None
        if fault in (Fault.THROTTLE, Fault.ERROR, Fault.DENY):
            connection.sendall(self.service.failure(fault).encoded())
            return True
        if fault in NO_WORK:
            if fault is Fault.REFUSE and strike:
                self.refuse(for_ever=strike.for_ever)
            return self._vanish(connection, client_port, hang=fault is Fault.HANG)
        answer = self.service.answer(request).encoded()
        if fault is None:
            connection.sendall(answer)
            return True
        return self._spoil(fault, answer, connection, client_port, arrived)

    def _spoil(
        self,
        fault: Fault,
        answer: bytes,
        connection: socket.socket,
        client_port: int,
        arrived: float,
    ) -> bool:
        head, _, body = answer.partition(b"\r\n\r\n")
        half = answer[: len(answer) - (len(body) + 1) // 2] if body else head[: len(head) // 2]
        if fault is Fault.DELAY:
            self.clock.advance_to(arrived + DELAY_S)
            connection.sendall(answer)
            return True
        if fault is Fault.DRIP:
            return self._drip(answer, connection, client_port)
        if fault in (Fault.RESET_AFTER, Fault.CLOSE_AFTER):
            connection.sendall(answer)
        elif fault in (Fault.HALF_RESET, Fault.HALF_CLOSE):
            connection.sendall(half)
        elif fault is Fault.GARBAGE:
            # The status of `@connections` is its whole answer.
            status = 404 if self.service.is_native else 200
            connection.sendall(Answer(status, b"<html>no</html>").encoded())
            return True
        elif fault is Fault.LATE:
            return self._vanish(connection, client_port, hang=True)
        if fault in (Fault.LOSE, Fault.HALF_RESET, Fault.RESET_AFTER):
            return self._vanish(connection, client_port, hang=False)
        return False

    def _vanish(self, connection: socket.socket, client_port: int, *, hang: bool) -> bool:
        if not hang:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if self.service.is_native:
            self.clock.fall_silent()
        else:
            self.clock.hung.add(client_port)
            connection.shutdown(socket.SHUT_WR)
        _wait_for_the_end(connection)
        return False

    def _drip(self, answer: bytes, connection: socket.socket, client_port: int) -> bool:
        if self.service.is_native:
            connection.sendall(answer[:1])
            return self._vanish(connection, client_port, hang=True)
        size = -(-len(answer) // self.service.pieces) if self.service.pieces else 1
        self.clock.dripping[client_port] = (DRIP_S, size)
        connection.sendall(answer[:1])
        threading.Event().wait(0.005)  # the client reads the first byte alone
        connection.sendall(answer[1:])
        return True


def _wait_for_the_end(connection: socket.socket) -> None:
    """Wait until the client has closed the connection, or the proxy drops it."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def _requests(connection: socket.socket) -> Iterator[Request]:
    """Yield the requests that arrive, until the client closes the connection."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65_536)):
                return
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = int(headers.get("content-length", 0))
        while len(data) < length:
            if not (more := connection.recv(65_536)):
                return
            data += more
        body, data = data[:length], data[length:]
        method, path, _ = first.split(" ")
        yield Request(method, path, headers, body)


def running(service: Service, clock: Clock) -> contextlib.AbstractContextManager[Proxy]:
    """Run a proxy on a free port of loopback until the end of the block."""
    return _running(Proxy(service, clock))


@contextlib.contextmanager
def _running(proxy: Proxy) -> Iterator[Proxy]:
    proxy.listen()
    try:
        yield proxy
    finally:
        proxy.refuse()
        proxy.drop_connections()
