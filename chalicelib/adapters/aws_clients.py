"""Clients of AWS services, created once per execution environment.

They come from botocore's session, which boto3 is built on: `import boto3` alone costs more than
the rest of a cold start.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sys
from typing import TYPE_CHECKING, Any


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Block the import of a module inside the `with`, by a None entry in `sys.modules`."""
    nothing: Any = None
    sys.modules.setdefault(module, nothing)
    try:
        yield
    finally:
        if sys.modules[module] is None:
            del sys.modules[module]


# botocore imports AWS's C runtime if it is installed, and checks BOTO_DISABLE_CRT only afterwards.
# Only `connections_api` needs it; the import would take 35 ms of every cold start.
with _absent("awscrt"):
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError
    from botocore.loaders import Loader
    from botocore.parsers import ResponseParserError as ResponseParserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient
    from botocore.credentials import Credentials

# A handshake waits for these calls. botocore makes one attempt; `attempts` retries.
CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 1.0
CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    retries={"mode": "legacy", "total_max_attempts": 1},
    parameter_validation=False,  # all requests are built by this code; saves 15 % of a call's CPU
    user_agent="incident-websocket",  # botocore builds its own twice a call: 20 % of its CPU
)


class OwnServices(Loader):
    """botocore's data loader, reduced to what the services in use need.

    To check that a service exists, botocore lists its data folder of 400 services twice: 15 ms of
    a cold start. It takes another 20 ms to read the endpoints of all services, although a client
    uses only the pattern of its partition and its endpoint comes from the service's own rules.
    """

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Load a data file; for `endpoints`, return only the patterns of the partitions."""
        if name != "endpoints":
            data, path = super().load_data_with_path(name)
            return data, path
        data, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": list(map(_patterns, data["partitions"]))}, path

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - inherited
        """Return the services in use."""
        return ["dynamodb", "events", "lambda", "sqs"]


def _patterns(partition: dict[str, Any]) -> dict[str, Any]:
    """Return a partition in the format of botocore's `endpoints.json`, without services."""
    suffix = partition["outputs"]["dnsSuffix"]
    dual_stack = partition["outputs"]["dualStackDnsSuffix"]
    usual, fips = "{service}.{region}.{dnsSuffix}", "{service}-fips.{region}.{dnsSuffix}"
    variants = [
        {"tags": ["dualstack"], "hostname": usual, "dnsSuffix": dual_stack},
        {"tags": ["fips"], "hostname": fips, "dnsSuffix": suffix},
        {"tags": ["dualstack", "fips"], "hostname": fips, "dnsSuffix": dual_stack},
    ]
    defaults = {"hostname": usual, "protocols": ["https"], "signatureVersions": ["v4"]}
    return {
        "partition": partition["id"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "dnsSuffix": suffix,
        "defaults": defaults | {"variants": variants},
        "services": {},
    }


@functools.cache
def dns_suffix(region: str) -> str:
    """Return the DNS suffix of a region's partition, such as `amazonaws.com.cn`."""
    data = session().get_component("data_loader").load_data("partitions")
    found = (each for each in data["partitions"] if re.match(each["regionRegex"], region))
    return next((each["outputs"]["dnsSuffix"] for each in found), "amazonaws.com")


@functools.cache
def session() -> botocore.session.Session:
    """Create the session that provides clients and credentials."""
    own = botocore.session.get_session()
    own.register_component("data_loader", OwnServices())
    return own


def credentials() -> Credentials:
    """Return the credentials, which refresh themselves. Raises `NoCredentialsError`."""
    found = session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


@functools.cache
def client(service: str) -> BaseClient:
    """Create the client of a service. Raises `BotoCoreError` when no region is configured."""
    made = session().create_client(service, config=CONFIG)
    for json_service in ("dynamodb", "events", "sqs"):
        made.meta.events.register(f"after-call.{json_service}", _refuse_garbage)
    return made


def _refuse_garbage(http_response: Any, **_: object) -> None:
    """Raise `ResponseParserError` for a body that is not a JSON object.

    botocore takes such a body for an empty answer: of a GetItem, that there is no row.
    """
    body = http_response.content.strip()
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise ResponseParserError(f"not a JSON object: {body[:50]!r}")
