"""A moto server, which answers more services than an account's deployment needs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class MotoServer:
    """A running moto server."""

    endpoint: str
    region: str

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point a command at this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this server."""
        session = boto3.Session("testing", "testing", region_name=self.region)
        # The service is a variable, so the type checker cannot know the client.
        make: Any = session.client
        return make(service, endpoint_url=self.endpoint)


@contextmanager
def running(region: str) -> Iterator[MotoServer]:
    """Run a moto server on a free port of the loopback interface until the block ends."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield MotoServer(f"http://{host}:{port}", region)
    finally:
        server.stop()
