"""Measure the log of one connection: run the functions on an in-process AWS and count bytes."""

from __future__ import annotations

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from moto import mock_aws

from provision import tables
from provision.template import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
# CloudWatch bills 26 bytes for each line on top of its text.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
LINE_OVERHEAD = 26
# The lines START, END and REPORT that Lambda adds to each invocation, as its documentation shows.
LAMBDA_LINES = (
    "START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: $LATEST\n",
    "END RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\n",
    "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 23.74 ms\t"
    "Billed Duration: 24 ms\tMemory Size: 512 MB\tMax Memory Used: 91 MB\t\n",
)
# A line of the access log, with values of the usual lengths.
ACCESS_LOG_VALUES = {
    "requestTime": "25/Nov/2026:08:00:00 +0000",
    "requestId": "8f507cfc4697b07a=",
    "connectionId": "L0SM9cOFvHcCIhw=",
    "eventType": "DISCONNECT",
    "routeKey": "$disconnect",
    "status": "200",
    "integrationStatus": "200",
    "integrationLatency": "25",
    "integrationError": "-",
    "error": "-",
    "sourceIp": "203.0.113.7",
}


@dataclass(frozen=True)
class LogBytes:
    """Billed bytes of the functions' own lines for one connection, and of AWS's lines."""

    connect: int
    disconnect: int
    row: int
    invocation: int
    access: int


def billed(lines: str) -> int:
    """Return the bytes that CloudWatch bills for lines of text."""
    return sum(len(line.encode()) + LINE_OVERHEAD for line in lines.splitlines() if line)


def measure(connect: dict[str, Any], disconnect: dict[str, Any]) -> LogBytes:
    """Run `connect` and `disconnect` with these events and return the bytes of their logs."""
    with stage():
        import app  # reads its environment when it is invoked

        opened = _output(app.connect, connect)
        closed = _output(app.disconnect, disconnect)
    row = json.dumps(json.loads(opened)["row"], separators=(",", ":"))
    return LogBytes(
        connect=billed(opened),
        disconnect=billed(closed),
        row=len(row) + len(',"row":'),
        invocation=billed("".join(LAMBDA_LINES)),
        access=billed(json.dumps(ACCESS_LOG_VALUES)),
    )


@contextlib.contextmanager
def stage() -> Iterator[None]:
    """Have the table of the stage dev in an in-process AWS, and its environment."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text())
    variables = config["stages"]["dev"]["environment_variables"]
    account = {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    before = dict(os.environ)
    os.environ.update(variables | account)
    try:
        with mock_aws():
            for table in load_tables(ROOT / ".chalice" / "resources.json", {"Stage": "dev"}):
                tables.ensure(boto3.client("dynamodb"), table)
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Context:
    """The context of an invocation of a handler."""

    function_name = "incident-websocket-prod-websocket_connect"
    aws_request_id = "8f507cfc-0000-4697-b07a-ac58fc914c95"

    def get_remaining_time_in_millis(self) -> int:
        """Return the timeout of a handler, as at the start of an invocation."""
        return 10_000


def _output(function: Any, event: dict[str, Any]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        answer = function(event, Context())
    if answer["statusCode"] != 200:
        raise RuntimeError(f"{function} answered {answer}")
    return out.getvalue()
