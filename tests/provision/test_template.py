"""Tables, event buses and topics as a CloudFormation template spells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import store
from provision.errors import ParameterError, TemplateError, UnsupportedError
from provision.template import (
    TableDefinition,
    TopicPolicy,
    load_buses,
    load_tables,
    load_topic_policies,
    load_topics,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
PROPERTIES = {
    "TableName": "Rows",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
PARAMETERS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,20}", fullmatch=True)
INDEX = {
    "IndexName": "by-owner",
    "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give a function that writes a template of one table, some of its properties replaced."""
    path = tmp_path_factory.mktemp("template") / "resources.json"

    def write(parameters: dict[str, Any] | None = None, **properties: Any) -> Path:
        table = {"Type": "AWS::DynamoDB::Table", "Properties": PROPERTIES | properties}
        template = {"Parameters": parameters or {}, "Resources": {"RowsTable": table}}
        path.write_text(json.dumps(template))
        return path

    return write


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_projects_own_table_is_read_whole(stage: str) -> None:
    """The resources file defines the stage's connections table, index and time to live included."""
    assert load_tables(RESOURCES, {"Stage": stage}) == [
        TableDefinition(
            name=f"IncidentWebSocketConnections-{stage}",
            key_schema=({"AttributeName": "connectionId", "KeyType": "HASH"},),
            attributes=(
                {"AttributeName": "connectionId", "AttributeType": "S"},
                {"AttributeName": "knownClientId", "AttributeType": "S"},
                {"AttributeName": "createdAt", "AttributeType": "N"},
            ),
            billing_mode="PAY_PER_REQUEST",
            indexes=(
                {
                    "IndexName": store.CLIENT_INDEX,
                    "KeySchema": [
                        {"AttributeName": "knownClientId", "KeyType": "HASH"},
                        {"AttributeName": "createdAt", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                },
            ),
            ttl_attribute="ttl",
            encryption={"Enabled": True},
            point_in_time_recovery=True,
        )
    ]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_projects_own_event_bus_is_read(stage: str) -> None:
    """The resources file defines one bus for each stage."""
    assert load_buses(RESOURCES, {"Stage": stage}) == [f"IncidentWebSocket-{stage}"]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_projects_own_topic_is_read(stage: str) -> None:
    """The resources file defines one topic for each stage."""
    topics = load_topics(RESOURCES, {"Stage": stage})
    assert topics == {"NotificationsTopic": f"IncidentNotifications-{stage}"}


def test_a_topic_policy_names_its_topics_by_their_arns(tmp_path: Path) -> None:
    """Ref and Fn::Sub give the ARN of a topic and the account, as in CloudFormation."""
    # GIVEN
    path = tmp_path / "resources.json"
    document = {"Resource": {"Ref": "Topic"}, "Account": {"Fn::Sub": "of ${AWS::AccountId}"}}
    properties = {"Topics": [{"Ref": "Topic"}], "PolicyDocument": document}
    policy = {"Type": "AWS::SNS::TopicPolicy", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"Policy": policy}}))
    arn = "arn:aws:sns:eu-west-1:123456789012:Rows"

    # WHEN
    policies = load_topic_policies(path, {"Topic": arn, "AWS::AccountId": "123456789012"})

    # THEN
    assert policies == [TopicPolicy((arn,), {"Resource": arn, "Account": "of 123456789012"})]


@pytest.mark.parametrize(
    ("kind", "properties", "message"),
    [
        ("Topic", {}, "topic It has no TopicName; it needs one"),
        (
            "Topic",
            {"TopicName": "a", "KmsMasterKeyId": "b"},
            "property KmsMasterKeyId of topic It is not supported; supported: TopicName",
        ),
        (
            "TopicPolicy",
            {"PolicyDocument": {}},
            "topic policy It has no Topics; it needs one",
        ),
        (
            "TopicPolicy",
            {"Topics": [], "PolicyDocument": {}, "Id": "a"},
            "property Id of topic policy It is not supported; supported: Topics, PolicyDocument",
        ),
    ],
)
def test_a_topic_that_cannot_be_made_whole_is_refused(
    tmp_path: Path, kind: str, properties: dict[str, Any], message: str
) -> None:
    """What would be lost is named, and so is what is missing."""
    # GIVEN
    path = tmp_path / "resources.json"
    resource = {"Type": f"AWS::SNS::{kind}", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"It": resource}}))

    # THEN
    with pytest.raises(TemplateError) as refused:
        (load_topics if kind == "Topic" else load_topic_policies)(path, {})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "event bus Bus has no Name; it needs one"),
        (
            {"Name": "a", "Policy": {}},
            "property Policy of event bus Bus is not supported; supported: Name",
        ),
    ],
)
def test_a_bus_that_cannot_be_made_whole_is_refused(
    tmp_path: Path, properties: dict[str, Any], message: str
) -> None:
    """A bus without a name, or with what would be lost, is named."""
    # GIVEN
    path = tmp_path / "resources.json"
    bus = {"Type": "AWS::Events::EventBus", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"Bus": bus}}))

    # WHEN
    with pytest.raises(TemplateError) as refused:
        load_buses(path, {})

    # THEN
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"TimeToLiveSpecification": {"AttributeName": "at", "Enabled": False}}, {}),
        (
            {"TimeToLiveSpecification": {"AttributeName": "at", "Enabled": True}},
            {"ttl_attribute": "at"},
        ),
        ({"SSESpecification": {"SSEEnabled": False}}, {"encryption": {"Enabled": False}}),
        (
            {"StreamSpecification": {"StreamViewType": "OLD_IMAGE"}},
            {"stream": {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}},
        ),
        ({"GlobalSecondaryIndexes": [INDEX]}, {"indexes": (INDEX,)}),
    ],
)
def test_a_property_is_read_in_the_terms_of_the_api(
    write: Callable[..., Path], properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Where CloudFormation and the DynamoDB API differ, the definition speaks the API's words."""
    # GIVEN
    plain = {
        "name": "Rows",
        "key_schema": tuple(PROPERTIES["KeySchema"]),
        "attributes": tuple(PROPERTIES["AttributeDefinitions"]),
        "billing_mode": "PAY_PER_REQUEST",
    }

    # WHEN
    tables = load_tables(write(**properties), {})

    # THEN
    assert tables == [TableDefinition(**plain | expected)]


@given(name=PARAMETERS, value=st.text(), before=st.text("ab-"), after=st.text("ab-"))
def test_a_parameter_is_put_in_by_ref_and_by_sub(
    write: Callable[..., Path], name: str, value: str, before: str, after: str
) -> None:
    """Ref gives the value and Fn::Sub the text around it, whatever characters the value has."""
    # GIVEN
    parameters = {name: value}

    # WHEN
    [by_ref] = load_tables(write(TableName={"Ref": name}), parameters)
    text = f"{before}${{{name}}}{after}${{!{name}}}"
    [by_sub] = load_tables(write(TableName={"Fn::Sub": text}), parameters)

    # THEN
    assert by_ref.name == value
    assert by_sub.name == f"{before}{value}{after}${{{name}}}"


def test_a_default_stands_in_for_a_parameter(write: Callable[..., Path]) -> None:
    """The template's own default is used, unless a value is given."""
    path = write({"Owner": {"Type": "String", "Default": "us"}}, TableName={"Ref": "Owner"})
    assert load_tables(path, {})[0].name == "us"
    assert load_tables(path, {"Owner": "them"})[0].name == "them"


def test_other_resources_are_left_alone(tmp_path: Path) -> None:
    """Whatever else the template holds is none of this module's business."""
    path = tmp_path / "resources.json"
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::GetAtt": ["A", "Arn"]}}}
    path.write_text(json.dumps({"Resources": {"Queue": queue, "Merged": {"Properties": {}}}}))
    assert load_tables(path, {}) == []
    assert load_buses(path, {}) == []
    assert load_topics(path, {}) == {}
    assert load_topic_policies(path, {}) == []


@pytest.mark.parametrize(
    ("given_stage", "message"),
    [
        ({}, "parameter Stage has no value; accepted: dev, prod"),
        ({"Stage": "test"}, "parameter Stage is 'test'; accepted: dev, prod"),
        ({"stage": "dev"}, "parameter Stage has no value; accepted: dev, prod"),
    ],
)
def test_a_parameter_that_is_missing_or_not_allowed_is_named(
    given_stage: dict[str, str], message: str
) -> None:
    """The error says which parameter, what it was and what it may be."""
    with pytest.raises(ParameterError) as refused:
        load_tables(RESOURCES, given_stage)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("table_name", "message"),
    [
        ({"Ref": "Owner"}, "parameter Owner has no value; accepted: any string"),
        ({"Fn::Sub": "a-${Owner}"}, "parameter Owner has no value; accepted: any string"),
        (
            {"Fn::GetAtt": ["Other", "Name"]},
            "function Fn::GetAtt of ['Other', 'Name'] is not supported; supported: Ref, Fn::Sub",
        ),
        (
            {"Fn::Sub": ["${A}", {"A": "b"}]},
            "function Fn::Sub of ['${A}', {'A': 'b'}] is not supported; supported: Ref, Fn::Sub",
        ),
    ],
)
def test_what_cannot_be_resolved_is_named(
    write: Callable[..., Path], table_name: dict[str, Any], message: str
) -> None:
    """A reference to nothing and a function that is not understood are errors, never a name."""
    with pytest.raises(TemplateError) as refused:
        load_tables(write(TableName=table_name), {})
    assert str(refused.value) == message


def test_a_property_that_would_be_lost_is_refused(write: Callable[..., Path]) -> None:
    """A table is made whole or not at all."""
    with pytest.raises(UnsupportedError, match="property LocalSecondaryIndexes of table RowsTable"):
        load_tables(write(LocalSecondaryIndexes=[]), {})


@pytest.mark.parametrize("missing", PROPERTIES)
def test_a_table_without_a_needed_property_is_refused(tmp_path: Path, missing: str) -> None:
    """The error says which table lacks what."""
    path = tmp_path / "resources.json"
    properties = {name: value for name, value in PROPERTIES.items() if name != missing}
    table = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    path.write_text(json.dumps({"Resources": {"RowsTable": table}}))
    with pytest.raises(TemplateError, match=f"table RowsTable has no {missing}"):
        load_tables(path, {})


@pytest.mark.parametrize("content", [None, "", "Resources:\n", "[1]", '"text"'])
def test_a_file_that_is_no_json_template_is_refused(tmp_path: Path, content: str | None) -> None:
    """A missing file, YAML and JSON of another kind are named with their path."""
    path = tmp_path / "resources.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TemplateError, match=r"resources\.json"):
        load_tables(path, {})
