"""Invokes Lambda functions asynchronously."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.adapters import aws_clients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient


def invoke_async(function: str, event: Mapping[str, Any]) -> str | None:
    """Queue an invocation of `function`. Return None, or the error if Lambda did not confirm it.

    The payload is compact and not ASCII-escaped, because Lambda limits it to 1 MB.
    """
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    client = cast("LambdaClient", aws_clients.client("lambda"))
    try:
        client.invoke(FunctionName=function, InvocationType="Event", Payload=payload)
    except (ClientError, BotoCoreError) as error:
        return str(error)
    return None
