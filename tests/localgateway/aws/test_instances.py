"""The memory of the embedded AWS, in a process of its own."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ROWS, SCANS = 20, 30
PROGRAM = f"""
import gc, json
from localgateway.aws import engine, items
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.responses import DynamoHandler

{{correct}}
def call(operation, **body):
    status, _, answer = items.call(operation, json.dumps(body).encode(), "us-east-1")
    assert status == 200, answer
    return json.loads(answer)

handler = DynamoHandler()
handler.region, handler.current_account, handler.uri_match = "us-east-1", "123456789012", {{{{}}}}
handler.body = handler.params = {{{{
    "TableName": "rows",
    "KeySchema": [{{{{"AttributeName": "id", "KeyType": "HASH"}}}}],
    "AttributeDefinitions": [{{{{"AttributeName": "id", "AttributeType": "S"}}}}],
    "BillingMode": "PAY_PER_REQUEST",
}}}}
handler.create_table()
for number in range({ROWS}):
    call("PutItem", TableName="rows", Item={{{{"id": {{{{"S": str(number)}}}}}}}})
for _ in range({SCANS}):
    assert call("Scan", TableName="rows")["Count"] == {ROWS}
gc.collect()
print(sum(isinstance(each, Item) for each in gc.get_objects()))
"""

MESSAGES = """
import json
from localgateway.aws import engine, instances
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

instances.DELETED = 3
{correct}
sns, sqs = (each["123456789012"]["us-east-1"] for each in (sns_backends, sqs_backends))
topic = sns.create_topic("topic")
sqs.create_queue("queue")
queue = sqs.get_queue("queue")
for number in range(10):
    sns.publish("hello", arn=topic.arn)
    sqs.send_message("queue", "hello")
    [message] = sqs.receive_message("queue", 1, 0, 30)
    for _ in range(2):
        queue.delete_message(message.receipt_handle)
print(json.dumps([len(topic.sent_notifications), len(queue.deleted_messages)]))
"""


@pytest.mark.proof
@pytest.mark.parametrize(
    ("correct", "stays"),
    [("engine.correct_moto()", False), ("", True)],  # without it moto keeps what it has read
)
def test_rows_that_were_read_do_not_stay_in_memory(correct: str, stays: bool) -> None:
    assert (int(printed(PROGRAM.format(correct=correct))) >= ROWS * SCANS) == stays


@pytest.mark.proof
@pytest.mark.parametrize(("correct", "stays"), [("engine.correct_moto()", False), ("", True)])
def test_messages_that_are_done_with_do_not_stay_in_memory(correct: str, stays: bool) -> None:
    """Those that a topic sent, and those deleted from a queue; deleting one twice is no error."""
    sent, deleted = json.loads(printed(MESSAGES.format(correct=correct)))

    assert ((sent, deleted) != (0, 3)) == stays


def printed(program: str) -> str:
    """Run a program and return what it prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
