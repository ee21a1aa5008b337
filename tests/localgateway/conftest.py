"""Fixtures of the gateway's tests: one shared gateway with the sample app, or one per test."""

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
    """Return a copy of the sample project that reports to the recorder."""
    return copy_sample(tmp_path_factory.mktemp("sample"), recorder)


@pytest.fixture(scope="session")
def gateway(sample: Path, recorder: Recorder) -> Iterator[Gateway]:
    """Run one gateway with default options."""
    with running(sample, recorder) as gateway:
        yield gateway


@pytest.fixture
def start(sample: Path, recorder: Recorder) -> Iterator[Callable[..., Gateway]]:
    """Return a function that runs a gateway with the given options until the test ends."""
    with ExitStack() as stack:

        def run(**options: Any) -> Gateway:
            return stack.enter_context(running(sample, recorder, **options))

        yield run


@pytest.fixture(scope="module")
def hasty(sample: Path, recorder: Recorder) -> Iterator[Gateway]:
    """Run a gateway with short timeouts, rates and TTL passes."""
    with running(
        sample, recorder, idle_timeout=1.5, max_duration=6.0, ttl_interval=0.2, schedule_every=0.2
    ) as gateway:
        yield gateway
