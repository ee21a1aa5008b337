from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import reader
from provision.errors import TemplateError
from provision.template import (
    QueueDefinition,
    TableDefinition,
    TopicPolicy,
    load_buses,
    load_queues,
    load_tables,
    load_topic_policies,
    load_topics,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOADERS: Mapping[str, Callable[[Path, Mapping[str, str]], Any]] = {
    "AWS::DynamoDB::Table": load_tables,
    "AWS::Events::EventBus": load_buses,
    "AWS::SNS::Topic": load_topics,
    "AWS::SNS::TopicPolicy": load_topic_policies,
    "AWS::SQS::Queue": load_queues,
}
TABLE, BUS, TOPIC, POLICY, QUEUE = LOADERS
RESOURCES = Path(__file__).parents[2] / ".chalice" / "resources.json"
PROPERTIES: Mapping[str, Any] = {
    "TableName": "Rows",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
}
INDEX = {
    "IndexName": "by-owner",
    "KeySchema": [{"AttributeName": "owner", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}
NO_STAGE = "parameter Stage has no value; expected dev or prod"
NO_OWNER = "parameter Owner has no value; expected a string"
UNSUPPORTED = "is not supported; supported:"


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a template of one resource, `It`."""
    path = tmp_path_factory.mktemp("template") / "resources.json"

    def write(kind: str, properties: object, parameters: object = None) -> Path:
        resources = {"It": {"Type": kind, "Properties": properties}}
        path.write_text(json.dumps({"Parameters": parameters or {}, "Resources": resources}))
        return path

    return write


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_projects_own_resources_file_is_read(stage: str) -> None:
    """One bus, one topic and two tables per stage, the tables complete."""
    parameters = {"Stage": stage}

    assert load_buses(RESOURCES, parameters) == [f"IncidentWebSocket-{stage}"]
    assert load_topics(RESOURCES, parameters) == {
        "NotificationsTopic": f"IncidentNotifications-{stage}"
    }
    assert load_tables(RESOURCES, parameters) == [
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
                    "IndexName": reader.CLIENT_INDEX,
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
        ),
        TableDefinition(
            name=f"IncidentWebSocketHistory-{stage}",
            key_schema=(
                {"AttributeName": "stream", "KeyType": "HASH"},
                {"AttributeName": "seq", "KeyType": "RANGE"},
            ),
            attributes=(
                {"AttributeName": "stream", "AttributeType": "S"},
                {"AttributeName": "seq", "AttributeType": "N"},
            ),
            billing_mode="PAY_PER_REQUEST",
            ttl_attribute="ttl",
            encryption={"Enabled": True},
        ),
    ]


def test_a_topic_policy_gets_the_arns_of_its_topics(write: Callable[..., Path]) -> None:
    """Ref of a topic is its ARN, as in CloudFormation."""
    document = {"Resource": {"Ref": "Topic"}, "Account": {"Fn::Sub": "of ${AWS::AccountId}"}}
    path = write(POLICY, {"Topics": [{"Ref": "Topic"}], "PolicyDocument": document})
    arn = "arn:aws:sns:eu-west-1:123456789012:Rows"

    policies = load_topic_policies(path, {"Topic": arn, "AWS::AccountId": "123456789012"})

    assert policies == [TopicPolicy((arn,), {"Resource": arn, "Account": "of 123456789012"})]


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
def test_cloudformation_properties_become_those_of_the_dynamodb_api(
    write: Callable[..., Path], properties: dict[str, Any], expected: dict[str, Any]
) -> None:
    """The two describe streams, encryption and time to live differently."""
    plain = {
        "name": "Rows",
        "key_schema": tuple(PROPERTIES["KeySchema"]),
        "attributes": tuple(PROPERTIES["AttributeDefinitions"]),
        "billing_mode": "PAY_PER_REQUEST",
    }

    tables = load_tables(write(TABLE, {**PROPERTIES, **properties}), {})

    assert tables == [TableDefinition(**plain | expected)]


@given(
    name=st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,20}", fullmatch=True),
    value=st.text(),
    before=st.text("ab-"),
    after=st.text("ab-"),
)
def test_ref_and_sub_insert_any_value_unchanged(
    write: Callable[..., Path], name: str, value: str, before: str, after: str
) -> None:
    """Fn::Sub also keeps the text around the value and the literal `${!name}`."""
    text = f"{before}${{{name}}}{after}${{!{name}}}"
    document = {"ref": {"Ref": name}, "sub": [{"Fn::Sub": text}]}

    [policy] = load_topic_policies(
        write(POLICY, {"Topics": [], "PolicyDocument": document}), {name: value}
    )

    assert policy.document == {"ref": value, "sub": [f"{before}{value}{after}${{{name}}}"]}


@pytest.mark.parametrize(("given", "expected"), [({}, "us"), ({"Owner": "them"}, "them")])
def test_a_parameter_has_its_default_unless_a_value_is_given(
    write: Callable[..., Path], given: dict[str, str], expected: str
) -> None:
    """The default comes from the template."""
    path = write(BUS, {"Name": {"Ref": "Owner"}}, {"Owner": {"Default": "us"}})

    assert load_buses(path, given) == [expected]


def test_the_queues_of_the_project_name_their_attributes_and_dead_letter_queue() -> None:
    """As the SQS API takes them. A message is shown again six timeouts of the function later."""
    failed = {"MessageRetentionPeriod": "1209600", "MaximumMessageSize": "1048576"}
    work = {"VisibilityTimeout": "180", "MaximumMessageSize": "1048576"}
    own_key = {"SqsManagedSseEnabled": "true"}

    assert load_queues(RESOURCES, {"Stage": "dev"}) == {
        "FailedNotifications": QueueDefinition("IncidentNotificationsFailed-dev", failed | own_key),
        "UnclaimedQueue": QueueDefinition(
            "IncidentUnclaimed-dev", work | own_key, "FailedNotifications", 5
        ),
    }


def test_resources_of_other_kinds_are_skipped(write: Callable[..., Path]) -> None:
    """Even one with an unsupported function, or without a type, as a template to merge has them."""
    path = write("AWS::Lambda::Url", {"TargetFunctionArn": {"Fn::GetAtt": ["A", "Arn"]}})
    template = json.loads(path.read_text())
    template["Resources"]["Merged"] = {"Properties": {}}
    path.write_text(json.dumps(template))

    assert [list(load(path, {})) for load in LOADERS.values()] == [[], [], [], [], []]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, NO_STAGE),
        ({"stage": "dev"}, NO_STAGE),
        ({"Stage": "test"}, "parameter Stage is 'test'; expected dev or prod"),
    ],
)
def test_a_missing_or_invalid_parameter_is_refused(given: dict[str, str], message: str) -> None:
    """The message lists the allowed values."""
    with pytest.raises(TemplateError) as refused:
        load_tables(RESOURCES, given)

    assert str(refused.value) == message


def without(name: str) -> dict[str, Any]:
    """Leave a property out of the table."""
    return {key: value for key, value in PROPERTIES.items() if key != name}


@pytest.mark.parametrize(
    ("kind", "properties", "message"),
    [
        (BUS, {"Name": {"Ref": "Owner"}}, NO_OWNER),
        (BUS, {"Name": {"Fn::Sub": "a-${Owner}"}}, NO_OWNER),
        (
            BUS,
            {"Name": {"Fn::GetAtt": ["Other", "Name"]}},
            f"function Fn::GetAtt with ['Other', 'Name'] {UNSUPPORTED} Ref, Fn::Sub",
        ),
        (
            BUS,
            {"Name": {"Fn::Sub": ["${A}", {"A": "b"}]}},
            f"function Fn::Sub with ['${{A}}', {{'A': 'b'}}] {UNSUPPORTED} Ref, Fn::Sub",
        ),
        (BUS, {"Name": "a", "Policy": 1}, f"property Policy of event bus It {UNSUPPORTED} Name"),
        (BUS, {}, "event bus It has no Name; add it to the resources file"),
        (TOPIC, {}, "topic It has no TopicName; add it to the resources file"),
        (
            TOPIC,
            {"TopicName": "a", "KmsMasterKeyId": "b"},
            f"property KmsMasterKeyId of topic It {UNSUPPORTED} TopicName",
        ),
        (
            POLICY,
            {"PolicyDocument": {}},
            "topic policy It has no Topics; add it to the resources file",
        ),
        (
            POLICY,
            {"Topics": [], "PolicyDocument": {}, "Id": "a"},
            f"property Id of topic policy It {UNSUPPORTED} Topics, PolicyDocument",
        ),
        (QUEUE, {}, "queue It has no QueueName; add it to the resources file"),
        (
            QUEUE,
            {"QueueName": "a", "DelaySeconds": 30},
            f"property DelaySeconds of queue It {UNSUPPORTED} QueueName, VisibilityTimeout,",
        ),
        (
            QUEUE,
            {"QueueName": "a", "RedrivePolicy": {"deadLetterTargetArn": "arn"}},
            f"property RedrivePolicy {{'deadLetterTargetArn': 'arn'}} of queue It {UNSUPPORTED}",
        ),
        (
            TABLE,
            {**PROPERTIES, "LocalSecondaryIndexes": []},
            f"property LocalSecondaryIndexes of table It {UNSUPPORTED} TableName, KeySchema,",
        ),
        *(
            (TABLE, without(name), f"table It has no {name}; add it to the resources file")
            for name in PROPERTIES
        ),
    ],
)
def test_a_resource_that_cannot_be_read_in_full_is_refused(
    write: Callable[..., Path], kind: str, properties: dict[str, Any], message: str
) -> None:
    """Nothing in the template is silently ignored."""
    with pytest.raises(TemplateError) as refused:
        LOADERS[kind](write(kind, properties), {})

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {} as a JSON template: "),
        ("", "cannot read {} as a JSON template: "),
        ("Resources:\n", "cannot read {} as a JSON template: "),
        ("[1]", "{} contains a JSON list; expected an object"),
        ('"text"', "{} contains a JSON str; expected an object"),
    ],
)
def test_a_file_that_is_not_a_json_template_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    """The message names the path."""
    path = tmp_path / "resources.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(TemplateError) as refused:
        load_tables(path, {})

    assert str(refused.value).startswith(message.format(path))


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
@pytest.mark.parametrize(
    "template",
    [
        {"Parameters": []},
        {"Parameters": {"Stage": "dev"}},
        {"Resources": []},
        {"Resources": {"It": 5}},
        {"Resources": {"It": {"Type": "AWS::DynamoDB::Table", "Properties": 5}}, "Parameters": 5},
    ],
)
def test_a_value_of_another_form_is_an_error_that_names_the_file(
    tmp_path: Path, load: Callable[..., Any], template: object
) -> None:
    """It would be a traceback otherwise."""
    path = tmp_path / "resources.json"
    path.write_text(json.dumps(template))

    with pytest.raises(TemplateError, match=f"cannot use {path}: a value has another form"):
        load(path, {"Stage": "dev"})


def test_a_template_that_is_nested_too_deeply_is_an_error(tmp_path: Path) -> None:
    """Python's parser gives up at a depth of 1,000."""
    path = tmp_path / "resources.json"
    path.write_text("[" * 100_000)

    with pytest.raises(TemplateError, match="as a JSON template: maximum recursion depth"):
        load_tables(path, {})


def test_allowed_values_that_are_numbers_are_told(write: Callable[..., Path]) -> None:
    """A parameter of the type Number has such values."""
    path = write(TABLE, PROPERTIES, {"Days": {"Type": "Number", "AllowedValues": [1, 7]}})

    with pytest.raises(TemplateError) as raised:
        load_tables(path, {"Days": "3"})

    assert str(raised.value) == "parameter Days is '3'; expected 1 or 7"
