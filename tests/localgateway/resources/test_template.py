"""What the gateway reads from a resources file."""

import json
from pathlib import Path
from typing import Any

import pytest

from localgateway.errors import ResourcesError
from localgateway.resources.template import Resources, Table, read_resources

KEYS = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
}
UNKNOWN = {"Fn::GetAtt": ["Key", "Arn"]}


def resources(tmp_path: Path, **found: Any) -> Resources:
    """Read a template with these resources."""
    path = tmp_path / "resources.json"
    conditions = {"Never": {"Fn::Equals": ["a", "b"]}}
    path.write_text(json.dumps({"Conditions": conditions, "Resources": found}))
    return read_resources(path, {"Stage": "dev"})


def test_tables_buses_and_topics_are_read(tmp_path: Path) -> None:
    """Properties that the gateway does not use may have any value."""
    found = resources(
        tmp_path,
        Things={
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                **KEYS,
                "TableName": {"Fn::Sub": "Things-${Stage}"},
                "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
                "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": True},
                "SSESpecification": {"KMSMasterKeyId": UNKNOWN},
            },
        },
        Bus={"Type": "AWS::Events::EventBus", "Properties": {"Name": "Mine", "Policy": UNKNOWN}},
        News={
            "Type": "AWS::SNS::Topic",
            "Properties": {"TopicName": "News.fifo", "FifoTopic": True, "KmsMasterKeyId": UNKNOWN},
        },
        Other={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": UNKNOWN}},
        Absent={"Type": "AWS::SNS::Topic", "Condition": "Never"},
    )

    stream = {"StreamViewType": "NEW_IMAGE", "StreamEnabled": True}
    assert found == Resources(
        (Table({**KEYS, "TableName": "Things-dev", "StreamSpecification": stream}, "ttl"),),
        ("Mine",),
        {"News.fifo": {"FifoTopic": "true"}},
    )


def test_a_resource_without_a_name_has_its_logical_id(tmp_path: Path) -> None:
    """AWS would make up a name; here a setting can name the resource."""
    found = resources(
        tmp_path,
        Things={"Type": "AWS::DynamoDB::Table", "Properties": KEYS},
        Bus={"Type": "AWS::Events::EventBus"},
        News={"Type": "AWS::SNS::Topic"},
    )

    assert [table.name for table in found.tables] == ["Things"]
    assert found.buses == ("Bus",)
    assert found.topics == {"News": {}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("{", "as a JSON template: Expecting property name"),
        ("[]", "as a JSON template: expected"),
        ('{"Resources": {"A": 1}}', "as a JSON template: expected"),
        ("[" * 100_000, "as a JSON template: maximum recursion depth"),
        ('{"Parameters": []}', "cannot use {path}: a value has another form"),
        ('{"Parameters": {"Stage": 5}}', "cannot use {path}: a value has another form"),
        (
            '{"Conditions": {"A": {"Condition": "A"}}, '
            '"Resources": {"B": {"Type": "AWS::SNS::Topic", "Condition": "A"}}}',
            "cannot use {path}: a value has another form: maximum recursion depth",
        ),
        (
            '{"Resources": {"A": {"Type": "AWS::SNS::Topic", "Properties": '
            '{"TopicName": {"Ref": "Name"}}}}}',
            "cannot use {path}: Name has no value here",
        ),
        (
            '{"Resources": {"A": {"Type": "AWS::DynamoDB::Table", "Properties": '
            '{"TimeToLiveSpecification": "ttl"}}}}',
            "cannot use {path}: a value has another form",
        ),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path: Path, text: str | None, said: str) -> None:
    """It names the file and the cause."""
    path = tmp_path / "resources.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(ResourcesError) as raised:
        read_resources(path, {})

    assert str(path) in str(raised.value)
    assert said.format(path=path) in str(raised.value)
