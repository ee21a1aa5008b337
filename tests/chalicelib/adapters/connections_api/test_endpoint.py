from urllib.parse import quote

import botocore.loaders
import pytest

from chalicelib.adapters.connections_api.endpoint import Endpoint

# Other data than the partitions that the functions go by.
REGIONS = [
    (region, partition["dnsSuffix"])
    for partition in botocore.loaders.Loader().load_data("endpoints")["partitions"]
    for region in partition["regions"]
]


@pytest.mark.parametrize(
    ("region", "url", "address", "port"),
    [
        ("eu-west-1", None, "https://a1.execute-api.eu-west-1.amazonaws.com/prod", 443),
        ("cn-north-1", None, "https://a1.execute-api.cn-north-1.amazonaws.com.cn/prod", 443),
        ("eu-west-1", "http://127.0.0.1:8765/dev", "http://127.0.0.1:8765/dev", 8765),
        ("eu-west-1", "http://localhost/dev/", "http://localhost/dev", 80),
        ("eu-west-1", "http://localhost:443", "http://localhost:443", 443),
        # The addresses of a custom domain in docs/deployment.md: without a key, and with one.
        ("eu-west-1", "https://connect.example.com", "https://connect.example.com", 443),
        ("eu-west-1", "https://connect.example.com/live", "https://connect.example.com/live", 443),
        ("eu-west-1", "http://[::1]:8765/dev", "http://[::1]:8765/dev", 8765),
    ],
)
def test_the_endpoint_is_that_of_the_stage_unless_a_url_is_given(
    region: str, url: str | None, address: str, port: int
) -> None:
    endpoint = Endpoint.of("a1", region, "prod", url)

    assert (endpoint.address, endpoint.port, endpoint.region) == (address, port, region)
    assert endpoint.path("a/b=") == f"{endpoint.prefix}/@connections/a%2Fb%3D"


@pytest.mark.parametrize(
    "connection_id",
    ["L0SM9cOFvHcCIhw=", "L0SM9c_-vHcCIg==", "plain", "", "=", "a=b", "a/b=", "é=", "a b", "x\n"],
)
def test_an_id_is_encoded_as_a_part_of_a_path(connection_id: str) -> None:
    path = Endpoint.of("a1", "eu-west-1", "prod").path(connection_id)

    assert path == f"/prod/@connections/{quote(connection_id, safe='')}"


@pytest.mark.parametrize(("region", "suffix"), REGIONS)
def test_every_region_has_the_dns_suffix_of_its_partition(region: str, suffix: str) -> None:
    assert Endpoint.of("a1", region, "prod").host == f"a1.execute-api.{region}.{suffix}"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("ftp://host/dev", "endpoint is 'ftp://host/dev'; expected http:// or https://, a host"),
        ("127.0.0.1:8765", "endpoint is '127.0.0.1:8765'; expected"),
        ("http:///dev", "endpoint is 'http:///dev'; expected"),
        ("http://h/?a=b", "endpoint is"),
        ("http://h/#a", "endpoint is"),
        ("http://h:x/", "Port could not be cast to integer value as 'x'"),
    ],
)
def test_an_invalid_url_is_shown_in_the_error(url: str, error: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint is|Port") as caught:
        Endpoint.of("a1", "eu-west-1", "prod", url)

    assert str(caught.value).startswith(error)
