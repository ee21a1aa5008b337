"""The network that tests cut: what it holds back, and that it closes nothing."""

import select
import socket
from collections.abc import Iterator

import pytest

from tests.support.cutting import Network, network_to

PATIENCE_S = 10.0
QUIET_S = 0.05


@pytest.fixture
def wire() -> Iterator[tuple[Network, socket.socket, socket.socket]]:
    """Yield a network, and the client's and the server's end of a connection through it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        network_to(f"ws://127.0.0.1:{listener.getsockname()[1]}/dev") as network,
    ):
        port = int(network.address.rpartition(":")[2].removesuffix("/dev"))
        with socket.create_connection(("127.0.0.1", port)) as client:
            server, _ = listener.accept()
            client.settimeout(PATIENCE_S)
            server.settimeout(PATIENCE_S)
            with server:
                yield network, client, server


def is_quiet(end: socket.socket) -> bool:
    """Return whether nothing arrives, neither bytes nor the end of the connection."""
    return not select.select([end], [], [], QUIET_S)[0]


@pytest.mark.parametrize(
    ("to_server", "to_client"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_a_cut_holds_back_one_direction_or_both(
    wire: tuple[Network, socket.socket, socket.socket], *, to_server: bool, to_client: bool
) -> None:
    network, client, server = wire

    network.cut(to_server=to_server, to_client=to_client)
    client.sendall(b"ping")
    server.sendall(b"pong")

    sent = [(server, b"ping", to_server), (client, b"pong", to_client)]
    assert [end.recv(9) for end, _, is_cut in sent if not is_cut] == [
        message for _, message, is_cut in sent if not is_cut
    ]
    assert all(is_quiet(end) for end, _, is_cut in sent if is_cut)
    network.restore()
    assert [end.recv(9) for end, _, is_cut in sent if is_cut] == [
        message for _, message, is_cut in sent if is_cut
    ]


def test_a_cut_hides_the_end_of_a_connection(
    wire: tuple[Network, socket.socket, socket.socket],
) -> None:
    network, client, server = wire

    network.cut()
    client.close()

    assert is_quiet(server)
    network.restore()
    assert server.recv(9) == b""
