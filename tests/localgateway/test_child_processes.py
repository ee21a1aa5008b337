"""Child processes of the gateway."""

import asyncio
import os

import pytest

from localgateway.child_processes import Child
from localgateway.errors import ChildError
from localgateway.process_environment import Credentials, embedded


def test_a_process_that_takes_too_long_is_an_error() -> None:
    """The wait for its output is bounded."""

    async def run() -> None:
        child = await Child.start(
            "silent one", "http.server", "0", environ=embedded(os.environ, Credentials())
        )
        try:
            await child.line(0.05)
        finally:
            await child.stop()

    with pytest.raises(ChildError, match=r"silent one .* 0\.05 s"):
        asyncio.run(run())
