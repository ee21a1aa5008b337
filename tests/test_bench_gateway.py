"""The processes that `bench/gateway` starts, except the baseline, which npm installs."""

import asyncio

import pytest

from bench.gateway import load, subjects, table

pytestmark = pytest.mark.proof


def test_the_gateway_runs_on_an_engine_that_stands_alone() -> None:
    """`$connect` and `$disconnect` write to the engine that both subjects use."""
    with (
        subjects.engine() as (engine, endpoint),
        subjects.gateway("--dynamodb-endpoint", endpoint) as gateway,
    ):
        rows = table.connect(endpoint)

        asyncio.run(load.witness(gateway.url, rows))

        assert gateway.server.memory() > 0
        assert engine.cpu().keys() == {"engine"}
        assert gateway.server.cpu().keys() >= {"connect", "disconnect", "gateway"}
