"""Queues of a resources file, in the embedded SQS."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from localgateway.aws.sqs_queues import create_queues
from localgateway.aws.template_values import TemplateValues

UNKNOWN = {"Fn::ImportValue": "another-stack"}
ARN = {"Fn::GetAtt": ["Dead", "Arn"]}
QUEUES: dict[str, Any] = {
    "Jobs": {
        "QueueName": {"Fn::Sub": "Jobs-${Stage}-${AWS::Region}"},
        "DelaySeconds": 3,
        "RedrivePolicy": {"deadLetterTargetArn": ARN, "maxReceiveCount": 2},
        "KmsMasterKeyId": UNKNOWN,
    },
    "Dead": {},
    "Ordered": {"QueueName": "Ordered.fifo", "FifoQueue": True},
    "Elsewhere": {"QueueName": UNKNOWN},
    "Broken": {"DelaySeconds": UNKNOWN},
}


def test_queues_are_created_as_far_as_their_values_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With delay, order and dead-letter queue; a second time changes nothing."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
    resources = {k: {"Type": "AWS::SQS::Queue", "Properties": v} for k, v in QUEUES.items()}
    path = tmp_path / "resources.json"
    path.write_text(json.dumps({"Resources": resources}))

    with mock_aws():
        for _ in range(2):
            create_queues(TemplateValues.read(path, "dev"))
        sqs: Any = boto3.client("sqs")
        urls = sqs.list_queues()["QueueUrls"]
        [jobs] = [url for url in urls if "Jobs" in url]
        attributes = sqs.get_queue_attributes(QueueUrl=jobs, AttributeNames=["All"])["Attributes"]

    names = {url.rpartition("/")[2] for url in urls}
    assert names == {"Jobs-dev-eu-west-1", "Dead", "Ordered.fifo"}
    assert attributes["DelaySeconds"] == "3"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":Dead")
    for name in ("Elsewhere", "Broken"):
        assert f"queue {name} of the resources file is left out" in caplog.text
