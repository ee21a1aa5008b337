"""The files of a project: the resources file and `.chalice/config.json`; and the failure queue."""

import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chalice.cli.factory import CLIFactory

from localgateway.api_gateway.template import read_template
from localgateway.aws.template_values import TemplateValues
from localgateway.errors import ResourcesError
from localgateway.lambda_runtime import inspection
from localgateway.resources.template import read_resources, understood
from provision import function_rights, redrive, template
from provision.errors import ProvisionError
from tests.fuzz.application_targets import NOW_MS

STAGE = "dev"
POLICY = (
    '{"Statement": [{"Effect": "Allow", "Resource": "*", "Action": ["xray:PutTraceSegments"]}]}'
)
# localgateway's of CloudFormation's pseudo parameters.
PARAMETERS = {"Stage": STAGE, "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}
LOADERS: tuple[Callable[[Path, Any], object], ...] = (
    template.load_tables,
    template.load_buses,
    template.load_topics,
    template.load_queues,
    template.load_topic_policies,
)


def resources_files(data: bytes) -> None:
    """Read a resources file as the gateway does, or refuse it with `ResourcesError`."""
    path = _written("resources.json", data)
    _tried(ResourcesError, read_resources, path, PARAMETERS)
    _tried(ResourcesError, read_template, path)
    with patch.dict("os.environ", {"AWS_REGION": "eu-west-1"}):
        _tried(ResourcesError, _all_values, path)


def templates(data: bytes) -> None:
    """Read a resources file as `provision` does, or refuse it with `ProvisionError`."""
    path = _written("resources.json", data)
    for load in LOADERS:
        _tried(ProvisionError, load, path, {"Stage": STAGE})


def configurations(data: bytes) -> None:
    """Read config.json as the gateway and `provision` do, or say what is wrong with it."""
    path = _written("config.json", data)
    factory = CLIFactory(str(_folder()), environ={})
    try:
        inspection._stages(factory)
    except RecursionError:
        raise
    except RuntimeError as error:
        str(error)
    _tried(ProvisionError, function_rights.check, path, STAGE)


def failed_messages(data: bytes) -> None:
    """Describe a message of the failure queue, or refuse it with `QueueMessageError`."""
    sent = {"SentTimestamp": str(NOW_MS)}
    text = data.decode("utf-8", "replace")
    message = {"MessageId": "m", "Body": text, "Attributes": sent}
    _tried(ProvisionError, redrive.describe, message, NOW_MS)


def _tried(expected: type[Exception], function: Callable[..., object], *given: Any) -> None:
    with contextlib.suppress(expected):
        try:
            function(*given)
        except expected as error:
            str(error)
            raise


def _all_values(path: Path) -> None:
    with understood(path):
        values = TemplateValues.read(path, STAGE)
        for kind in ("AWS::SQS::Queue", "AWS::Events::EventBus", "AWS::Events::Rule"):
            for _, properties in values.of(kind):
                values.resolve(properties)


def _written(name: str, data: bytes) -> Path:
    path = _folder() / ".chalice" / name
    path.write_bytes(data)
    return path


def _folder() -> Path:
    return Path(_temporary().name)


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="fuzz-")
    chalice = Path(folder.name) / ".chalice"
    chalice.mkdir()
    (chalice / "policy.json").write_text(POLICY)
    return folder
