"""Clients of AWS's services, made once per execution environment.

botocore's own session serves, which boto3 stands on: `import boto3` alone costs more than the
rest of a cold start.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any


@contextlib.contextmanager
def _absent(module: str) -> Iterator[None]:
    """Keep a module from being imported in the block, as Python does for a None in its cache."""
    nothing: Any = None
    sys.modules.setdefault(module, nothing)
    try:
        yield
    finally:
        if sys.modules[module] is None:
            del sys.modules[module]


# botocore imports AWS's C runtime wherever it finds it, and looks at BOTO_DISABLE_CRT only then.
# It is in the package for `chalicelib.lanes`; botocore has no use for it here, and the import would
# take 35 ms of every cold start, more without bytecode.
with _absent("awscrt"):
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import NoCredentialsError
    from botocore.loaders import Loader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.client import BaseClient
    from botocore.credentials import Credentials

# A handshake waits for these calls. Three tries of one second, 50 and 100 ms apart, give up on
# a dead endpoint after 3.2 s, and a throttled or reset call still gets its second chance.
# The legacy mode keeps those pauses in every botocore; "standard" paused seconds in older ones,
# and the Lambda runtime decides which botocore that is.
CONFIG = Config(
    connect_timeout=1,
    read_timeout=1,
    retries={"mode": "legacy", "total_max_attempts": 3},
    parameter_validation=False,  # every request is built here; saves 15 % of a call's CPU
    user_agent="incident-websocket",  # botocore builds its own anew, twice a call: 20 %
)


class OwnServices(Loader):
    """botocore's loader of its data, told what the services in use need of it.

    To check that a service is known, botocore lists its data folder of 400 services, twice:
    15 ms of a cold start. Another 20 ms go into reading every endpoint of all of them, of which a
    client takes its partition's pattern; its endpoint comes from the service's own rules.
    """

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Load data by name: for the endpoints, the patterns of the partitions."""
        if name != "endpoints":
            data, path = super().load_data_with_path(name)
            return data, path
        data, path = super().load_data_with_path("partitions")
        return {"version": 3, "partitions": list(map(_patterns, data["partitions"]))}, path

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - inherited
        """Name the services that have a model of any type."""
        return ["dynamodb", "events", "lambda"]


def _patterns(partition: dict[str, Any]) -> dict[str, Any]:
    """Give a partition as botocore's file of endpoints has it, without the services."""
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
def session() -> botocore.session.Session:
    """Make the session that every client and every credential comes from."""
    own = botocore.session.get_session()
    own.register_component("data_loader", OwnServices())
    return own


def credentials() -> Credentials:
    """Give the session's credentials, which renew themselves; raises `NoCredentialsError`."""
    found = session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


@functools.cache
def client(service: str) -> BaseClient:
    """Make the client of a service; raises `BotoCoreError` when no region is configured."""
    return session().create_client(service, config=CONFIG)
