"""What the gateway says when it serves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localgateway.process_environment import REGION
from provision.template import load_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localgateway.lambda_runtime.project import Project
    from localgateway.options import Options

_DUMMIES = "AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local "


def announcement(
    project: Project, options: Options, address: str, engine_url: str, topics: Sequence[str]
) -> str:
    """Say where everything is, with commands that are ready to run; `topics` are ARNs."""
    dynamodb = options.dynamodb_endpoint or engine_url
    lines = [
        f"{project.app}, stage {options.stage}, is at ws://{address}",
        f"  connect       {_python()} -m websockets ws://{address}",
        f"                npx wscat -c ws://{address}",
        f"  @connections  http://{address}/@connections/{{connectionId}}",
        f"  DynamoDB      {dynamodb}",
        *(line for table in _tables(options) for line in _table(table, options, dynamodb)),
        *(line for arn in topics for line in _topic(arn, engine_url)),
        *_functions(project, f"http://{address.partition('/')[0]}"),
        "Ctrl-C stops it.",
    ]
    return "\n".join(lines)


def _python() -> str:
    """Name the Python that runs this, which has what the commands need, as briefly as possible."""
    here, python = Path.cwd(), Path(sys.executable)
    return str(python.relative_to(here) if python.is_relative_to(here) else python)


def _tables(options: Options) -> list[str]:
    resources = options.project / ".chalice" / "resources.json"
    if not resources.exists():
        return []
    return [table.name for table in load_tables(resources, {"Stage": options.stage})]


def _table(name: str, options: Options, dynamodb: str) -> list[str]:
    own = options.dynamodb_endpoint is None
    environ = _DUMMIES if own else ""
    region = f" --region {REGION}" if own else ""
    keyword = f", region_name='{REGION}'" if own else ""
    client = f"boto3.client('dynamodb', endpoint_url='{dynamodb}'{keyword})"
    return [
        f"  table         {environ}aws dynamodb scan --table-name {name}"
        f" --endpoint-url {dynamodb}{region}",
        f'                {environ}{_python()} -c "import boto3; print({client}.scan('
        f"TableName='{name}')['Items'])\"",
    ]


def _topic(arn: str, engine_url: str) -> list[str]:
    region = arn.split(":")[3]
    client = f"boto3.client('sns', endpoint_url='{engine_url}', region_name='{region}')"
    return [
        f"  topic         {_DUMMIES}aws sns publish --topic-arn {arn} --message Hello"
        f" --endpoint-url {engine_url} --region {region}",
        f'                {_DUMMIES}{_python()} -c "import boto3; {client}.publish('
        f"TopicArn='{arn}', Message='Hello')\"",
    ]


def _functions(project: Project, lambda_url: str) -> list[str]:
    by_name = sorted(project.functions.keys() - project.routes.values())
    return [
        f"  function      {_DUMMIES}aws lambda invoke --function-name {name}"
        f" --endpoint-url {lambda_url} --region {REGION} /dev/stdout"
        for name in by_name
    ]
