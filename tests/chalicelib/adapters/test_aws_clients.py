"""The clients of AWS's services."""

import urllib.parse
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from botocore.exceptions import NoCredentialsError, NoRegionError

from chalicelib.adapters import aws_clients as sdk


@pytest.mark.parametrize("service", ["dynamodb", "events"])
def test_a_client_is_made_once(service: str) -> None:
    """Making a client is a third of a cold start."""
    assert sdk.client(service) is sdk.client(service)
    assert sdk.client(service).meta.service_model.service_name == service


def test_clients_share_one_session() -> None:
    """Two sessions cost more than one."""
    assert sdk.session() is sdk.session()


@pytest.mark.parametrize("service", ["dynamodb", "events"])
def test_the_loader_finds_the_same_model_without_listing_all_services(service: str) -> None:
    """The short cut leaves out the listing of botocore's data folder and nothing else."""
    usual = botocore.loaders.Loader().load_service_model(service, "service-2")

    assert sdk.OwnServices().load_service_model(service, "service-2") == usual


REGIONS = ["us-east-1", "eu-west-1", "ap-east-2", "cn-north-1", "us-gov-west-1", "us-iso-east-1"]


@pytest.mark.parametrize("service", ["dynamodb", "events"])
@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("variant", [{}, {"fips": "true"}, {"dualstack": "true"}])
def test_requests_go_where_botocore_sends_them(
    service: str, region: str, variant: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short cut leaves out endpoints that a client does not use: address and scope agree."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    for name, value in variant.items():
        monkeypatch.setenv(f"AWS_USE_{name.upper()}_ENDPOINT", value)
    usual = botocore.session.get_session().create_client(service)

    assert _destination(sdk.client(service)) == _destination(usual)


def _destination(client: Any) -> tuple[str, str, str, str]:
    operation = client.meta.service_model.operation_model("TagResource")
    url = client._resolve_endpoint_ruleset(
        operation, {}, {"client_region": client.meta.region_name}
    )
    scope = client._request_signer
    return url[0], scope.signing_name, scope.region_name, client.meta.partition


def test_without_a_region_no_client_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next invocation tries again: a failure is not kept."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(NoRegionError):
        sdk.client("dynamodb")

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert sdk.client("dynamodb").meta.region_name == "eu-west-1"


def test_the_credentials_are_the_session_s() -> None:
    """They renew themselves where they come from a role."""
    assert sdk.credentials().get_frozen_credentials().access_key == "testing"


def test_no_credentials_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request signed with nothing would only come back as denied."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    with pytest.raises(NoCredentialsError):
        sdk.credentials()


def test_a_dead_endpoint_is_given_up_on_in_time() -> None:
    """The tries of one call, at their longest, stay under the 5 s that a handshake may take."""
    config: Any = sdk.CONFIG
    tries = config.retries["total_max_attempts"]
    longest_pauses_s = sum(0.05 * 2**number for number in range(tries - 1))

    assert tries * max(config.connect_timeout, config.read_timeout) + longest_pauses_s < 5


def test_the_endpoint_of_a_service_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is how the local gateway brings its embedded AWS in."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:9")

    assert urllib.parse.urlsplit(sdk.client("events").meta.endpoint_url).port == 9
