"""A network between a client and a server that a test can cut, as a cable is: nothing is closed."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 65_536


@dataclass(eq=False)
class Network:
    """Forwards TCP connections of loopback to the server at `url`.

    A direction that is cut passes nothing on, neither bytes nor the end of a connection, and both
    sockets stay open. What arrives meanwhile is passed on once it is restored.
    """

    url: str
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _flows: dict[str, threading.Event] = field(
        default_factory=lambda: {"server": threading.Event(), "client": threading.Event()}
    )
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ended: bool = False

    @property
    def address(self) -> str:
        """The URL of the server, through this network."""
        port = self._listener.getsockname()[1]
        return urlsplit(self.url)._replace(netloc=f"127.0.0.1:{port}").geturl()

    def cut(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Stop forwarding, in one direction or in both."""
        for name, is_cut in (("server", to_server), ("client", to_client)):
            if is_cut:
                self._flows[name].clear()

    def restore(self) -> None:
        """Forward in both directions, beginning with what arrived meanwhile."""
        for flow in self._flows.values():
            flow.set()

    def serve(self) -> None:
        """Begin to accept connections."""
        self.restore()
        self._start(self._accept)

    def _accept(self) -> None:
        target = urlsplit(self.url)
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                try:
                    server = socket.create_connection((target.hostname, target.port))
                except OSError:  # as a server that is not there refuses it
                    client.close()
                    continue
                self._sockets.append(server)
                self._start(self._forward, client, server, self._flows["server"])
                self._start(self._forward, server, client, self._flows["client"])

    def _forward(self, source: socket.socket, sink: socket.socket, flow: threading.Event) -> None:
        with contextlib.suppress(OSError):  # either side has reset its connection
            while chunk := source.recv(CHUNK_BYTES):
                flow.wait()
                sink.sendall(chunk)
        flow.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def end(self) -> None:
        """Close the listener and both ends of every connection."""
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.restore()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def network_to(url: str) -> Iterator[Network]:
    """Run a network to the server at `url` until the end of the block."""
    network = Network(url)
    network.serve()
    try:
        yield network
    finally:
        network.end()
