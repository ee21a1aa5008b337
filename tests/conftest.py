"""Fixtures of every test: no account of the developer, a table, invocations, an issuer."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import chalice.test
import pytest
from botocore.awsrequest import AWSResponse
from chalice.local import LambdaContext
from chalice.test import Client
from hypothesis import settings
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib.adapters import aws_clients, sqs, table, token_keys
from chalicelib.store import ConnectionStore
from chalicelib.variables import VARIABLES
from provision.template import load_tables
from tests.support import engines, in_process_aws
from tests.support.connections import NO_DEADLINE
from tests.support.issuer import Issuer, issuing

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")

ROOT = Path(__file__).resolve().parent.parent
TABLE = "IncidentWebSocketConnections-dev"
HISTORY = "IncidentWebSocketHistory-dev"
UNSET = "(unset)"
LONG_CONTEXT = functools.partial(LambdaContext, max_runtime_ms=60_000)
# Completing the tables takes longer than a test.
CREATIONS: list[Any] = [
    {
        "TableName": definition.name,
        "KeySchema": definition.key_schema,
        "AttributeDefinitions": definition.attributes,
        "BillingMode": definition.billing_mode,
        **({"GlobalSecondaryIndexes": definition.indexes} if definition.indexes else {}),
    }
    for definition in load_tables(ROOT / ".chalice" / "resources.json", {"Stage": "dev"})
]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the developer's own account, region and settings."""
    own = [variable.name for variable in VARIABLES]
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", *own):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # chalice.test.Client gives every invocation 3 s, too few for a loaded machine.
    monkeypatch.setattr(chalice.test, "LambdaContext", LONG_CONTEXT)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps credentials
    aws_clients.session.cache_clear()
    aws_clients.client.cache_clear()
    token_keys.verifier.cache_clear()
    monkeypatch.setattr(sqs, "_urls", {})


@pytest.fixture(autouse=True, scope="session")
def _in_process_aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        in_process_aws.prepare(patch)
        yield


@pytest.fixture(scope="session")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """Return the address of the chosen DynamoDB engine; None is moto in this process."""
    with engines.running(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture
def dynamodb(
    engine_address: str | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DynamoDBClient]:
    """Return a client of DynamoDB with the project's empty tables."""
    with mock_aws():
        if engine_address is not None:
            monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", engine_address)
        client = boto3.Session().client("dynamodb")
        if engine_address is not None:
            engines.empty(client)
        for creation in CREATIONS:
            client.create_table(**creation)
        yield client


@pytest.fixture
def invoke(tmp_path: Path) -> Callable[..., Any]:
    """Return a function that invokes a handler by name, as Lambda does, with some settings."""

    def call(function: str, event: Mapping[str, Any], **environment: str) -> Any:
        settings = {"CONNECTIONS_TABLE": TABLE} | environment
        chosen = {name: value for name, value in settings.items() if value != UNSET}
        stage = {"environment_variables": chosen, "lambda_timeout": 10}
        config = {"version": "2.0", "stages": {"dev": stage}}
        (tmp_path / ".chalice").mkdir(exist_ok=True)
        (tmp_path / ".chalice" / "config.json").write_text(json.dumps(config))
        with Client(app.app, stage_name="dev", project_dir=str(tmp_path)) as client:
            return client.lambda_.invoke(function, event).payload

    return call


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that reads the lines logged since it was last called."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


@dataclass(frozen=True)
class Wire:
    """The traffic between the application and DynamoDB.

    `calls` are the operations called, and `tries` those of the requests sent, retries included.
    `errors` are the status and error code that answer an operation.
    """

    calls: list[str]
    tries: list[str]
    errors: dict[str, tuple[int, str]]

    def watch(self, client: DynamoDBClient) -> DynamoDBClient:
        """Record the traffic of `client` from now on."""
        client.meta.events.register("before-call.dynamodb", self._called)
        client.meta.events.register_first("before-send.dynamodb", self._sent)
        return client

    def _called(self, model: Any, **_: object) -> None:
        self.calls.append(model.name)

    def _sent(self, request: Any, **_: object) -> Any:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        self.tries.append(operation)
        if operation not in self.errors:
            return None
        status, code = self.errors[operation]
        body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"})
        headers: Any = {"Content-Type": "application/x-amz-json-1.0"}
        request.url = "https://nowhere.invalid"  # moto sees every request, but must not act on it
        return AWSResponse(request.url, status, headers, MockRawResponse(body.encode()))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Watch the traffic with DynamoDB, and let a test break it."""
    watching = Wire([], [], {})
    make = table.dynamodb
    client = functools.cache(lambda: watching.watch(make()))
    monkeypatch.setattr(table, "dynamodb", client)
    return watching


def store_in_use(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> ConnectionStore:
    """Return a store of an empty table that the functions use: the body of a fixture."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)
