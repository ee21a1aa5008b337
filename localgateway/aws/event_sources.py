"""Creates what runs functions: `python -m localgateway.aws.event_sources JSON`.

The argument has the `subscriptions`, `queues`, `rules` and `functions` (names by logical id) of a
project, its `stage` and the path of its `template`, if it has one. It prints the ARNs of the topics
and the event source mappings of the queues as one line of JSON. It runs in a process of its own
because it imports boto3, which would stay in the gateway's memory.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from localgateway.aws.rules import put_own_rule, put_rules
from localgateway.aws.sns_subscriptions import subscribe
from localgateway.aws.sqs_queues import create_queues, mapping
from localgateway.aws.template_values import TemplateValues
from localgateway.errors import ResourcesError
from localgateway.resources.template import understood


def main() -> None:
    """Create topics, queues and rules, and print what the gateway needs to know of them."""
    wanted = json.loads(sys.argv[1])
    try:
        topics = [subscribe(**each) for each in wanted["subscriptions"]]
        if path := wanted["template"]:
            with understood(Path(path)):
                template = TemplateValues.read(Path(path), wanted["stage"])
                create_queues(template)
                put_rules(template, wanted["functions"])
        mappings = [mapping(**each) for each in wanted["queues"]]
        for each in wanted["rules"]:
            put_own_rule(**each)
    except (BotoCoreError, ClientError, ResourcesError) as error:
        sys.exit(f"Error: {error}")
    click.echo(json.dumps({"topics": topics, "mappings": mappings}))


if __name__ == "__main__":
    main()
