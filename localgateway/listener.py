"""Listening sockets of the gateway and of the embedded AWS."""

from __future__ import annotations

import errno
import socket

_LOOPBACK_6 = "::1"
# Who listens here is found as `localhost`, which is ::1 to some clients and 127.0.0.1 to others.
_FOUND_AS_LOCALHOST = ("127.0.0.1", "localhost", "0.0.0.0")  # noqa: S104 - compared, not bound
_ATTEMPTS = 10


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; 0 picks a free port. Raise `OSError` if it is unavailable.

    asyncio disables Nagle's algorithm only on sockets that it creates itself. With the algorithm,
    every response to an AWS client would wait 40 ms for that client's delayed ACK.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    return listener


def listen_as_localhost(host: str, port: int) -> tuple[list[socket.socket], OSError | None]:
    """Listen on an address, and on ::1 with the same port if `localhost` may mean that address.

    Return the sockets, and why there is none on ::1, if the machine has no IPv6. Raise `OSError`
    if the port is unavailable on either address.
    """
    if host not in _FOUND_AS_LOCALHOST:
        return [listen(host, port)], None
    address = "127.0.0.1" if host == "localhost" else host
    attempts = 1 if port else _ATTEMPTS
    while True:
        attempts -= 1
        first = listen(address, port)
        try:
            return [first, listen(_LOOPBACK_6, first.getsockname()[1])], None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return [first], error
            first.close()
            # A port that the system chose for one address may be in use on the other.
            if not attempts:
                raise
