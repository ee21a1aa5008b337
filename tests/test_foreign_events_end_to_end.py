"""Payloads from the wild through the local gateway, which imports functions by name."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.support.gateway import Gateway, serving
from tests.support.notifications import sns_event

TOKEN = "c2VjcmV0.b2YgYWRh"
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2024-11-11T11:35:24Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/sweep"],
    "detail": {},
}
FUNCTIONS = {
    "websocket_connect": 400,
    "websocket_disconnect": 400,
    "websocket_message": 400,
    "notify": None,
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve the project with a subprotocol of its own."""
    with serving(tmp_path_factory.mktemp("project"), settings={"SUBPROTOCOLS": "chat"}) as gateway:
        yield gateway


def invoke(gateway: Gateway, name: str, payload: Any) -> Any:
    """Invoke a function as a warmer does, and return its result."""
    client = boto3.client("lambda", endpoint_url=gateway.lambda_endpoint, region_name="us-east-1")
    response = client.invoke(
        FunctionName=f"incident-websocket-dev-{name}", Payload=json.dumps(payload)
    )
    result = json.loads(response["Payload"].read())
    assert "FunctionError" not in response, result
    return result


@pytest.mark.proof
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "payload", [{}, None, [], {"source": "warmer"}, {"Records": [{"body": "{}"}]}]
)
def test_no_payload_makes_a_function_fail(gateway: Gateway, function: str, payload: Any) -> None:
    result = invoke(gateway, function, payload)

    assert (result and result["statusCode"]) == FUNCTIONS[function]


def test_the_sweep_takes_the_event_of_its_schedule(gateway: Gateway) -> None:
    assert invoke(gateway, "sweep", SCHEDULED)["finished"] is True


def test_a_notification_without_subject_and_attributes_is_delivered(gateway: Gateway) -> None:
    event = sns_event("hello")
    del event["Records"][0]["Sns"]["Subject"], event["Records"][0]["Sns"]["MessageAttributes"]

    with connect(gateway.url) as client:
        report = invoke(gateway, "notify", event)

        assert json.loads(client.recv(timeout=60))["message"] == "hello"
    assert report["delivered"] == 1


@pytest.mark.parametrize(
    ("offered", "selected"),
    [(("bearer", TOKEN), "bearer"), (("soap", "chat"), "chat"), (("soap",), None)],
)
def test_a_client_gets_a_subprotocol_that_it_offered(
    gateway: Gateway, offered: tuple[str, ...], selected: str | None
) -> None:
    """Without an issuer of tokens, too."""
    with connect(gateway.url, subprotocols=[Subprotocol(name) for name in offered]) as client:
        assert client.subprotocol == selected
    assert not any(TOKEN in line for line in gateway.said)
