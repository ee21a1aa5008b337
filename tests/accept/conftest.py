"""What the tests of `accept` share: a running gateway, and runs of the checks against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import Gateway, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway with a limit of two connections per client and allowed origins."""
    settings = {
        "MAX_CONNECTIONS_PER_CLIENT": "2",
        "ALLOWED_ORIGINS": "https://dashboard.example.com",
        "RECOVER_OWN": "always",
    }
    with serving(tmp_path_factory.mktemp("gateway") / "project", settings=settings) as gateway:
        yield gateway
