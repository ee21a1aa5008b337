"""Which access keys the embedded AWS accepts."""

from pathlib import Path

import pytest

from localgateway.embedded_aws import access_keys
from localgateway.options import Options

RUN = {"AWS_ACCESS_KEY_ID": "RUN"}


@pytest.mark.parametrize(
    ("endpoint", "shell", "keys"),
    [
        (None, {}, "RUN"),
        (None, {"AWS_ACCESS_KEY_ID": "MINE"}, "RUN"),
        (None, {"AWS_PROFILE": "mine"}, "RUN"),
        ("http://127.0.0.1:8000", {}, "RUN"),
        ("http://127.0.0.1:8000", {"AWS_ACCESS_KEY_ID": "MINE"}, "RUN,MINE"),
        ("http://127.0.0.1:8000", {"AWS_PROFILE": "mine"}, "*"),
    ],
)
def test_the_shells_key_counts_only_beside_another_dynamodb(
    endpoint: str | None, shell: dict[str, str], keys: str
) -> None:
    """Only then do functions sign with it."""
    options = Options(Path("project"), dynamodb_endpoint=endpoint)

    assert access_keys(options, RUN, shell) == keys
