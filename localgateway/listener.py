"""Listening sockets of the gateway and of the embedded AWS."""

from __future__ import annotations

import socket


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; 0 picks a free port. Raise `OSError` if it is unavailable.

    asyncio disables Nagle's algorithm only on sockets that it creates itself. With the algorithm,
    every response to an AWS client would wait 40 ms for that client's delayed ACK.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    return listener
