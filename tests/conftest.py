"""What the tests of the application share: a table, a client, an issuer of tokens."""

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
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse
from mypy_boto3_dynamodb import DynamoDBClient

import app
from chalicelib import store
from chalicelib.adapters import aws_clients as sdk
from chalicelib.adapters import token_keys as tokens
from chalicelib.settings import VARIABLES
from chalicelib.store import ConnectionStore
from provision.tables import ensure
from provision.template import load_tables
from tests.support.connections import NO_DEADLINE
from tests.support.issuer import Issuer, issuing

ROOT = Path(__file__).resolve().parent.parent
TABLE = "IncidentWebSocketConnections-dev"
UNSET = "(unset)"
LONG_CONTEXT = functools.partial(LambdaContext, max_runtime_ms=60_000)


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
    sdk.session.cache_clear()
    sdk.client.cache_clear()
    tokens.verifier.cache_clear()


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    """Give a client of an empty in-process DynamoDB that holds the project's tables."""
    with mock_aws():
        client = boto3.client("dynamodb")
        for definition in load_tables(ROOT / ".chalice" / "resources.json", {"Stage": "dev"}):
            ensure(client, definition)
        yield client


@pytest.fixture
def invoke(tmp_path: Path) -> Callable[..., Any]:
    """Give a function that invokes a handler by name, as Lambda does, under given settings."""

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
    """Run an issuer of tokens."""
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
    """Give a function that reads the lines logged since it was last called."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return read


@dataclass(frozen=True)
class Wire:
    """What passes between the registry and DynamoDB.

    `calls` are the names of the operations called and `tries` those of the requests sent;
    `errors` makes an operation answer with a status and an error code.
    """

    calls: list[str]
    tries: list[str]
    errors: dict[str, tuple[int, str]]

    def watch(self, client: DynamoDBClient) -> DynamoDBClient:
        """Record what `client` does from now on."""
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
    """Watch, and break where a test says so, what the registry asks of DynamoDB."""
    watching = Wire([], [], {})
    make = store.dynamodb
    client = functools.cache(lambda: watching.watch(make()))
    monkeypatch.setattr(store, "dynamodb", client)
    return watching


def store_in_use(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> ConnectionStore:
    """Give a store of an empty table that the functions use: made a fixture where it is needed."""
    monkeypatch.setenv("CONNECTIONS_TABLE", TABLE)
    return ConnectionStore(dynamodb, TABLE, NO_DEADLINE)
