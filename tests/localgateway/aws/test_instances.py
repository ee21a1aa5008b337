"""The memory of the embedded AWS, in a process of its own."""

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


@pytest.mark.parametrize(
    ("correct", "stays"),
    [("engine.correct_moto()", False), ("", True)],  # without it moto keeps what it has read
)
def test_rows_that_were_read_do_not_stay_in_memory(correct: str, stays: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(correct=correct)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert (int(done.stdout) >= ROWS * SCANS) == stays
