"""Item operations, compared with moto's own answers to the same calls."""

import json
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from localgateway.aws import items
from localgateway.aws.engine import correct_moto
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
# To moto, NULL equals a missing attribute and 1 equals True.
COMPARED = [value for value in VALUES if not {"NULL", "BOOL"} & value.keys()]
# When moto cannot add a value to a row that did not exist, it leaves an empty row.
ADDED = [{"N": "1"}, {"N": "-12.50"}, {"SS": ["b", "a"]}]
HEADERS = {
    "Authorization": SIGNED.format(service="dynamodb"),
    "Content-Type": "application/x-amz-json-1.0",
}
Call = tuple[str, dict[str, Any]]
Answer = tuple[int, Any]


def answered(application: Any, call: Call) -> Answer:
    """Send a call to moto's server application; it answers None to what moto cannot parse."""
    operation, request = call
    headers = HEADERS | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    try:
        answer = application.post("/", data=json.dumps(request), headers=headers)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 400, None
    return answer.status_code, json.loads(answer.data)


def motos_answers(calls: list[Call]) -> list[Answer]:
    """Return the answers of a moto without the engine's corrections, in a process of its own."""
    application = Client(create_backend_app("dynamodb"))
    return [answered(application, call) for call in calls]


def engines_answers(calls: list[Call]) -> list[Answer]:
    """Return the answers of the engine's way to moto, with its corrections."""
    correct_moto()
    application = Client(create_backend_app("dynamodb"))
    answers = []
    for operation, request in calls:
        answer = items.call(operation, json.dumps(request).encode(), "us-east-1")
        if answer is None:
            answers.append(answered(application, (operation, request)))
        else:
            answers.append((answer[0], json.loads(answer[2])))
    return answers


def generated(chance: random.Random) -> Call:
    """Return an operation on one of a few rows, right or wrong."""
    key = {"id": {"S": chance.choice("abcd")}}
    attributes = chance.choices("vw", k=2)
    item = key | {n: chance.choice(COMPARED if n == "v" else VALUES) for n in attributes}
    if chance.random() < 0.5:
        item["owner"] = {"S": chance.choice(["text ü", "another"])}
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
            "ExpressionAttributeValues": {":v": chance.choice(COMPARED)},
        }
        if ":v" not in condition["ConditionExpression"]:
            del condition["ExpressionAttributeValues"]
        if "#v" not in condition["ConditionExpression"]:
            del condition["ExpressionAttributeNames"]
    old = {"ReturnValues": chance.choice(["NONE", "ALL_OLD"])}
    update: dict[str, Any] = {
        "UpdateExpression": chance.choice(["SET #w = :w", "REMOVE #w", "ADD #w :w"]),
        "ExpressionAttributeNames": {"#w": "w"},
        "ExpressionAttributeValues": {":w": chance.choice(VALUES)},
        "ReturnValues": chance.choice(["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_NEW"]),
    }
    if update["UpdateExpression"].startswith("ADD"):
        update["ExpressionAttributeValues"] = {":w": chance.choice(ADDED)}
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
    calls: list[Call] = [
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


@pytest.mark.parametrize("number", [600, pytest.param(5000, marks=pytest.mark.proof)])
def test_answers_are_motos_own(number: int) -> None:
    """The same generated calls both ways, where moto answers as DynamoDB does."""
    chance = random.Random(number)
    calls: list[Call] = [("CreateTable", TABLE), *(generated(chance) for _ in range(number))]

    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        asked = [processes.submit(way, calls) for way in (motos_answers, engines_answers)]
        own, ours = (answers.result() for answers in asked)

    for call, theirs, mine in zip(calls[1:], own[1:], ours[1:], strict=True):
        if theirs[1] is None:
            assert mine[0] == theirs[0], call
        else:
            assert mine == theirs, call
    statuses = {(call[0], answer[0]) for call, answer in zip(calls, own, strict=True)}
    assert {name for name, status in statuses if status == 200} >= set(items._METHODS)
    assert {name for name, status in statuses if status == 400} >= {"PutItem", "Query"}
