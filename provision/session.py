"""The region and the clients of the commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

import boto3


def region_of(option: str | None) -> str | None:
    """Return the region of a command: its option, or `AWS_REGION`.

    None leaves the choice to boto3, which reads `AWS_DEFAULT_REGION` and the profile but, unlike
    the AWS CLI 2, not `AWS_REGION`.
    """
    return option or os.environ.get("AWS_REGION") or None


def client(service: str, region: str | None, **options: Any) -> Any:
    """Return a client of a service for which this project has no types."""
    # The service is a variable, so the type checker cannot know the client.
    make: Any = boto3.client
    return make(service, region_name=region_of(region), **options)
