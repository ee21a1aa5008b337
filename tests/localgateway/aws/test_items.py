"""Item operations, compared with moto's own answers to the same calls."""

import json
import random
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from localgateway.aws import items
from tests.localgateway.support import SIGNED

TABLE = {
    "TableName": "Rows",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "owner", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "ByOwner",
            "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
VALUES: list[dict[str, Any]] = [
    {"S": "text ü"},
    {"S": ""},
    {"N": "1"},
    {"N": "-12.50"},
    {"N": "1E+3"},
    {"BOOL": True},
    {"NULL": True},
    {"B": "AAEC"},
    {"SS": ["b", "a"]},
    {"NS": ["1", "2.0"]},
    {"BS": ["AA==", "AQ=="]},
    {"L": [{"S": "x"}, {"N": "2"}, {"M": {"B": {"S": "a name like a type"}}}]},
    {"M": {"n": {"N": "3"}, "deep": {"L": []}}},
]
SERVER = Client(create_backend_app("dynamodb"))


def moto(operation: str, request: dict[str, Any], region: str) -> tuple[int, Any]:
    """Send a call through moto's own server application."""
    authorization = SIGNED.format(service="dynamodb").replace("us-east-1", region)
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Authorization": authorization}
    headers["Content-Type"] = "application/x-amz-json-1.0"
    try:
        answer = SERVER.post("/", data=json.dumps(request), headers=headers)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 400, None  # moto cannot parse it
    return answer.status_code, json.loads(answer.data)


def fast(operation: str, request: dict[str, Any], region: str) -> tuple[int, Any]:
    """Send a call the way the engine does."""
    answer = items.call(operation, json.dumps(request).encode(), region)
    if answer is None:
        return moto(operation, request, region)
    status, _, body = answer
    return status, json.loads(body)


def generated(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Return an operation on one of a few rows, right or wrong."""
    key = {"id": {"S": chance.choice("abcd")}}
    item = key | {chance.choice(["owner", "v", "w"]): chance.choice(VALUES) for _ in range(2)}
    table = {"TableName": chance.choice(["Rows"] * 20 + ["Missing"])}
    extra: dict[str, Any] = {}
    if chance.random() < 0.3:
        extra["ReturnConsumedCapacity"] = chance.choice(["TOTAL", "INDEXES"])
    condition: dict[str, Any] = {}
    if chance.random() < 0.4:
        condition = {
            "ConditionExpression": chance.choice(
                ["attribute_exists(id)", "attribute_not_exists(#v)", "#v = :v"]
            ),
            "ExpressionAttributeNames": {"#v": "v"},
            "ExpressionAttributeValues": {":v": chance.choice(VALUES)},
        }
        if ":v" not in condition["ConditionExpression"]:
            del condition["ExpressionAttributeValues"]
        if "#v" not in condition["ConditionExpression"]:
            del condition["ExpressionAttributeNames"]
    old = {"ReturnValues": chance.choice(["NONE", "ALL_OLD"])}
    update = {
        "UpdateExpression": chance.choice(["SET #w = :w", "REMOVE #w", "ADD #w :w"]),
        "ExpressionAttributeNames": {"#w": "w"},
        "ExpressionAttributeValues": {":w": chance.choice(VALUES)},
        "ReturnValues": chance.choice(["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"]),
    }
    if ":w" not in update["UpdateExpression"]:
        del update["ExpressionAttributeValues"]
    query = {
        "IndexName": "ByOwner",
        "KeyConditionExpression": "#o = :o",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":o": {"S": "text ü"}},
    }
    transaction = [{"Put": {**table, "Item": item, **condition}}]
    transaction += [{"Delete": {**table, "Key": {"id": {"S": "z"}}}}]
    calls: list[tuple[str, dict[str, Any]]] = [
        ("PutItem", {**table, "Item": item, **condition, **old, **extra}),
        ("GetItem", {**table, "Key": key, "ConsistentRead": True, **extra}),
        ("DeleteItem", {**table, "Key": key, **condition, **old, **extra}),
        ("UpdateItem", {**table, "Key": key, **update, **extra}),
        ("Query", {**table, **query, **extra}),
        ("Scan", {**table, "Limit": chance.choice([1, 2, 50]), **extra}),
        ("Scan", {**table, "Select": "COUNT"}),
        ("BatchGetItem", {"RequestItems": {table["TableName"]: {"Keys": [key]}}}),
        (
            "BatchWriteItem",
            {"RequestItems": {table["TableName"]: [{"PutRequest": {"Item": item}}]}},
        ),
        ("TransactGetItems", {"TransactItems": [{"Get": {**table, "Key": key}}]}),
        ("TransactWriteItems", {"TransactItems": transaction}),
    ]
    return chance.choice(calls)


@pytest.mark.parametrize("seed", range(4))
def test_answers_are_motos_own(seed: int) -> None:
    """The same generated calls, in two regions of one moto: one each way."""
    chance = random.Random(seed)
    regions = {"eu-west-1": moto, "eu-west-2": fast}
    for region in regions:
        moto("DeleteTable", {"TableName": "Rows"}, region)
        moto("CreateTable", TABLE, region)
    statuses: set[tuple[str, int]] = set()
    for _ in range(750):
        operation, request = generated(chance)

        own, ours = (send(operation, request, region) for region, send in regions.items())

        if own[1] is None:
            assert ours[0] == own[0]
        else:
            assert _neutral(ours) == _neutral(own), (operation, request)
        statuses.add((operation, own[0]))
    assert {operation for operation, status in statuses if status == 200} == set(items._METHODS)
    assert {operation for operation, status in statuses if status == 400} >= {"PutItem", "Query"}


def _neutral(answer: Any) -> Any:
    """Return an answer without its region."""
    return json.loads(json.dumps(answer).replace("eu-west-2", "eu-west-1"))
