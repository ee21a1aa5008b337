"""An empty AWS account in this process, and calls in it that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def account() -> Iterator[None]:
    """Answer every AWS call from moto, which starts empty."""
    with mock_aws():
        yield


@pytest.fixture
def fail() -> Callable[..., None]:
    """Return a function that makes an operation of a client fail, once or always."""

    def fail(client: Any, operation: str, code: str, *, once: bool = False) -> None:
        event = f"before-call.{client.meta.service_model.endpoint_prefix}.{operation}"

        def raise_error(**_: Any) -> None:
            if once:
                client.meta.events.unregister(event, raise_error)
            raise ClientError({"Error": {"Code": code, "Message": ""}}, operation)

        client.meta.events.register(event, raise_error)

    return fail


@pytest.fixture
def interleave() -> Callable[..., None]:
    """Return a function that runs another one right before a client's next call of an operation."""

    def interleave(client: Any, operation: str, other: Callable[[], object]) -> None:
        event = f"before-call.{client.meta.service_model.endpoint_prefix}.{operation}"

        def run_other(**_: Any) -> None:
            client.meta.events.unregister(event, run_other)
            other()

        client.meta.events.register(event, run_other)

    return interleave
