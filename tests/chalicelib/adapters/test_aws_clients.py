import urllib.parse
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError

from chalicelib.adapters import aws_clients

SERVICES = ["dynamodb", "events", "lambda"]
REGIONS = ["us-east-1", "eu-west-1", "ap-east-2", "cn-north-1", "us-gov-west-1", "us-iso-east-1"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_is_created_once(service: str) -> None:
    client = aws_clients.client(service)

    assert aws_clients.client(service) is client
    assert client.meta.service_model.service_name == service


def test_clients_share_one_session() -> None:
    assert aws_clients.session() is aws_clients.session()


@pytest.mark.parametrize("service", SERVICES)
def test_the_reduced_loader_finds_the_same_model(service: str) -> None:
    usual = botocore.loaders.Loader().load_service_model(service, "service-2")

    assert aws_clients.OwnServices().load_service_model(service, "service-2") == usual


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("variant", [None, "FIPS", "DUALSTACK"])
def test_requests_go_to_the_same_address_as_with_botocore_alone(
    service: str, region: str, variant: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    if variant:
        monkeypatch.setenv(f"AWS_USE_{variant}_ENDPOINT", "true")
    usual = botocore.session.get_session().create_client(service)

    assert _destination(aws_clients.client(service)) == _destination(usual)


def _destination(client: Any) -> tuple[str, str, str, str]:
    operation = client.meta.service_model.operation_model("TagResource")
    url = client._resolve_endpoint_ruleset(
        operation, {}, {"client_region": client.meta.region_name}
    )
    scope = client._request_signer
    return url[0], scope.signing_name, scope.region_name, client.meta.partition


def test_a_client_that_could_not_be_created_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(NoRegionError):
        aws_clients.client("dynamodb")

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert aws_clients.client("dynamodb").meta.region_name == "eu-west-1"


def test_the_credentials_are_those_of_the_session() -> None:
    assert aws_clients.credentials().get_frozen_credentials().access_key == "testing"


def test_missing_credentials_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(NoCredentialsError):
        aws_clients.credentials()


def test_a_call_to_a_dead_endpoint_fails_within_5_s() -> None:
    """A handshake waits for it. botocore pauses 50 ms, then twice as long after each attempt."""
    config: Any = aws_clients.CONFIG
    attempts = config.retries["total_max_attempts"]
    pauses_s = sum(0.05 * 2**number for number in range(attempts - 1))

    assert attempts * max(config.connect_timeout, config.read_timeout) + pauses_s < 5


def test_the_endpoint_of_a_service_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local gateway points the functions to its embedded AWS in this way."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")

    assert urllib.parse.urlsplit(aws_clients.client("events").meta.endpoint_url).port == 9
