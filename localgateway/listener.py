"""Opens the sockets that the gateway and the embedded AWS listen on."""

from __future__ import annotations

import socket


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, or on a free one for 0; raises OSError.

    asyncio turns Nagle's algorithm off for sockets that it makes, not for those it is given:
    with it, each answer to a client of AWS would wait 40 ms for that client's delayed ACK.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it accepts inherits it
    return listener
