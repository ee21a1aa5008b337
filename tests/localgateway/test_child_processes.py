"""Child processes of the gateway."""

import asyncio
import os

import pytest

from localgateway.child_processes import Child
from localgateway.errors import ChildError
from localgateway.process_environment import Credentials, embedded


@pytest.mark.parametrize("wait", ["line", "success"])
def test_a_process_that_takes_too_long_is_an_error(wait: str) -> None:
    """The wait for a process is bounded, for its output and for its exit."""

    async def run() -> None:
        child = await Child.start(
            "silent one", "http.server", "0", environ=embedded(os.environ, Credentials())
        )
        try:
            await getattr(child, wait)(0.05)
        finally:
            await child.stop()

    with pytest.raises(ChildError, match=r"silent one .* 0\.05 s"):
        asyncio.run(run())
