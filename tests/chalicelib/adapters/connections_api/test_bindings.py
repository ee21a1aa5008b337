"""The calls of AWS's C runtime that are not awscrt's public ones do what those do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from awscrt import auth, http  # type: ignore[import-untyped] # has no types
from awscrt.exceptions import AwsCrtError  # type: ignore[import-untyped] # same

from chalicelib.adapters.connections_api import bindings

CONFIG = auth.AwsSigningConfig(
    credentials_provider=auth.AwsCredentialsProvider.new_static("AKIDEXAMPLE", "secret", "token"),
    region="eu-west-1",
    service="execute-api",
    date=datetime(2024, 11, 11, tzinfo=UTC),
)


def request(*headers: tuple[str, str]) -> http.HttpRequest:
    """Return a request that is not signed."""
    return http.HttpRequest("GET", "/dev/@connections/x", http.HttpHeaders([*headers]))


def test_a_request_is_signed_as_by_the_public_function() -> None:
    ours, public = request(("Host", "a1.example.com")), request(("Host", "a1.example.com"))

    bindings.sign(ours, CONFIG)

    auth.aws_sign_request(public, CONFIG).result()
    assert ours.headers.get("Authorization")
    assert list(ours.headers) == list(public.headers)


def test_a_request_that_cannot_be_signed_is_an_error() -> None:
    """One that has the headers of a signature."""
    signed = request(("Host", "a1.example.com"), ("X-Amz-Date", "20241111T000000Z"))

    with pytest.raises(AwsCrtError, match="AWS_AUTH_SIGNING_ILLEGAL_REQUEST_HEADER"):
        bindings.sign(signed, CONFIG)


@pytest.mark.parametrize(("code", "name"), [(2058, "AWS_ERROR_HTTP_CONNECTION_CLOSED")])
def test_an_error_has_the_name_of_its_number(code: int, name: str) -> None:
    assert name in str(bindings.error_of(code))
