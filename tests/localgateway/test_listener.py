"""Listening sockets."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from localgateway import listener
from localgateway.listener import listen_as_localhost
from tests.localgateway.support import PATIENCE, Gateway

IPV6 = pytest.mark.skipif(
    not Path("/proc/net/if_inet6").exists() and sys.platform == "linux", reason="no IPv6 here"
)


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[list[socket.socket]]:
    """Listen within the block."""
    with ExitStack() as stack:
        sockets, _ = listen_as_localhost(host, port)
        yield [stack.enter_context(each) for each in sockets]


@IPV6
@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1", "::1"]),
        ("localhost", ["127.0.0.1", "::1"]),
        ("0.0.0.0", ["0.0.0.0", "::1"]),  # noqa: S104 - that is what is tried
        ("::1", ["::1"]),
        ("127.0.0.2", ["127.0.0.2"]),
    ],
)
def test_localhost_means_both_families(host: str, addresses: list[str]) -> None:
    """On one port; another address is that address only."""
    with listening(host) as sockets:
        names = [each.getsockname() for each in sockets]

    assert [name[0] for name in names] == addresses
    assert len({name[1] for name in names}) == 1


@IPV6
def test_a_port_in_use_on_either_family_is_an_error() -> None:
    """Some clients would reach the other program."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use"):
            listen_as_localhost("127.0.0.1", port)

    with listening("127.0.0.1", port) as sockets:
        assert len(sockets) == 2


@IPV6
def test_a_free_port_is_free_on_both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the one that the system chose for IPv4 is in use for IPv6, it chooses again."""
    real, tried = listener.listen, list[int]()

    def listen(host: str, port: int) -> socket.socket:
        if host == "::1":
            tried.append(port)
            if len(tried) < 3:
                raise OSError(errno.EADDRINUSE, "Address already in use")
        return real(host, port)

    monkeypatch.setattr(listener, "listen", listen)
    with listening("127.0.0.1") as sockets:
        assert {each.getsockname()[1] for each in sockets} == {tried[2]}


def test_a_machine_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is returned, for the log."""
    real = listener.listen

    def listen(host: str, port: int) -> socket.socket:
        if host == "::1":
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return real(host, port)

    monkeypatch.setattr(listener, "listen", listen)
    [only], missing = listen_as_localhost("127.0.0.1", 0)
    only.close()

    assert missing is not None
    assert missing.errno == errno.EADDRNOTAVAIL


@IPV6
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_the_gateway_serves_both_families(gateway: Gateway, host: str) -> None:
    """Clients that try one family only find it, too."""
    with connect(f"ws://{host}:{gateway.port}/live") as client:
        client.send("hello")
        assert client.recv(timeout=PATIENCE) == "not JSON: hello"
