"""What `bench/gateway` starts, apart from the baseline that npm has to install."""

import asyncio

from bench.gateway import load, subjects, table


def test_the_gateway_runs_on_an_engine_that_stands_alone() -> None:
    """Rows come with `$connect` and go with `$disconnect`, in the engine of both subjects."""
    with (
        subjects.engine() as endpoint,
        subjects.gateway("--dynamodb-endpoint", endpoint) as gateway,
    ):
        rows = table.connect(endpoint)

        asyncio.run(load.witness(gateway.url, rows))

        assert gateway.server.memory() > 0
