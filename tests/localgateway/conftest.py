"""What the tests of the gateway share: one gateway with the sample app, and more at wish."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.localgateway.support import Gateway, Recorder, copy_sample, recording, running


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """Run one recorder for every gateway."""
    with recording() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Path:
    """Give a copy of the sample project that tells the recorder."""
    return copy_sample(tmp_path_factory.mktemp("sample"), recorder)


@pytest.fixture(scope="session")
def gateway(sample: Path, recorder: Recorder) -> Iterator[Gateway]:
    """Run one gateway with the options' defaults."""
    with running(sample, recorder) as gateway:
        yield gateway


@pytest.fixture
def start(sample: Path, recorder: Recorder) -> Iterator[Callable[..., Gateway]]:
    """Give a function that runs a gateway with the given options until the test ends."""
    with ExitStack() as stack:

        def run(**options: Any) -> Gateway:
            return stack.enter_context(running(sample, recorder, **options))

        yield run
