"""Invokes Lambda functions asynchronously."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError

from chalicelib.adapters import aws_clients
from chalicelib.adapters.attempts import CallError, call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient

    from chalicelib.clock import Deadline


def invoke_async(function: str, event: Mapping[str, Any], deadline: Deadline) -> str | None:
    """Queue an invocation of `function`. Return None, or the error if Lambda did not confirm it.

    An attempt whose answer is lost is repeated, so the event may be queued as often as there are
    attempts. The payload is compact and not ASCII-escaped, because Lambda limits it to 1 MB.
    """
    payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        client = cast("LambdaClient", aws_clients.client("lambda"))
        call(
            client.invoke,
            deadline,
            FunctionName=function,
            InvocationType="Event",
            Payload=payload,
        )
    except (CallError, BotoCoreError) as error:
        return str(error)
    return None
