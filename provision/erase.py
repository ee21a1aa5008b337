"""Erase what a stage stores about one client: its connections, and what was sent to it.

Closing a connection ends its row: with its `$disconnect`, at the latest with the next pass of the
sweep. No row is deleted here, because the row of a connection that is still open must stay.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from provision.errors import FunctionAnswerError, NotDeletedError, ProvisionError
from provision.session import client
from provision.template import load_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The stream of the notifications that name a client is called this, followed by the clientId.
OWN = "c#"
# DynamoDB's bound on one BatchWriteItem.
BATCH = 25
# The pauses, in s, before what is left over of a batch is asked for again: botocore has none.
PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)
# The two outcomes of `close` after which no connection is open.
ENDED = ("closed", "already gone")


@dataclass(frozen=True)
class Erased:
    """`closed` maps each connection to its outcome; `items` were deleted from the history."""

    closed: Mapping[str, str]
    items: int

    @property
    def left(self) -> list[str]:
        """The connections that could not be closed."""
        return [name for name, outcome in self.closed.items() if outcome not in ENDED]


def close(lambda_: Any, function: str, client_id: str) -> Mapping[str, str]:
    """Close the client's connections by the function `close`. Return the outcome of each.

    Raise `FunctionAnswerError` if the function answered with an error.
    """
    payload = json.dumps({"clientId": client_id, "reason": "erased"})
    answer = lambda_.invoke(FunctionName=function, Payload=payload)
    body = json.loads(answer["Payload"].read())
    if not isinstance(body, dict) or "connections" not in body:
        raise FunctionAnswerError(function, body)
    outcomes: Mapping[str, str] = body["connections"]
    return outcomes


def keys_of(dynamodb: Any, table: str, stream: str) -> Iterator[dict[str, Any]]:
    """Yield the key of each item of a stream: its head, entries and claims, expired ones too."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#stream = :stream",
        ProjectionExpression="#stream, seq",
        ExpressionAttributeNames={"#stream": "stream"},
        ExpressionAttributeValues={":stream": {"S": stream}},
        ConsistentRead=True,
    )
    for page in pages:
        yield from page["Items"]


def delete(dynamodb: Any, table: str, keys: list[dict[str, Any]]) -> None:
    """Delete the items with these keys; what DynamoDB leaves over is asked for again.

    Raise `NotDeletedError` if it still leaves over some of a batch after the last of `PAUSES_S`.
    """
    for start in range(0, len(keys), BATCH):
        requests: Any = {
            table: [{"DeleteRequest": {"Key": key}} for key in keys[start : start + BATCH]]
        }
        pauses = iter(PAUSES_S)
        while requests := dynamodb.batch_write_item(RequestItems=requests).get("UnprocessedItems"):
            pause_s = next(pauses, None)
            if pause_s is None:
                left = len(requests[table]) + len(keys[start + BATCH :])
                raise NotDeletedError(table, left, len(keys))
            time.sleep(pause_s)


def erase(dynamodb: Any, lambda_: Any, table: str, function: str, client_id: str) -> Erased:
    """Close the client's connections, then delete its stream from the history in `table`.

    A notification that is sent to the client meanwhile begins a new stream. Repeating an erasure
    that was interrupted completes it.
    """
    closed = close(lambda_, function, client_id)
    keys = list(keys_of(dynamodb, table, OWN + client_id))
    delete(dynamodb, table, keys)
    return Erased(closed, len(keys))


def history_table(resources: Path, stage: str) -> str:
    """Return the name of the stage's table for the history."""
    names = [table.name for table in load_tables(resources, {"Stage": stage})]
    return next(name for name in names if "History" in name)


@click.command(name="python -m provision.erase")
@click.option("--stage", required=True, help="The stage that stores something about the client.")
@click.option("--client", "client_id", required=True, help="The clientId, as in the table's rows.")
@click.option(
    "--resources",
    type=click.Path(path_type=Path),
    default=Path(".chalice/resources.json"),
    show_default=True,
    help="The CloudFormation template that defines the tables.",
)
@click.option("--region", help="The AWS region. The default is the configured one.")
def main(stage: str, client_id: str, resources: Path, region: str | None) -> None:
    """Close the connections of a client and delete the notifications that were sent to it."""
    if not client_id:
        raise click.BadParameter("is empty; expected a clientId", param_hint="--client")
    try:
        table = history_table(resources, stage)
        dynamodb, lambda_ = client("dynamodb", region), client("lambda", region)
        function = f"incident-websocket-{stage}-close"
        erased = erase(dynamodb, lambda_, table, function, client_id)
    except (ProvisionError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{len(erased.closed) - len(erased.left)} connections closed; the sweep removes rows"
    )
    click.echo(f"{erased.items} items deleted from {table}")
    if erased.left:
        raise click.ClickException(f"not closed, try again: {', '.join(erased.left)}")


if __name__ == "__main__":
    main()
