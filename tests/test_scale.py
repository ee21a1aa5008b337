"""docs/scale.md is true: its tables, its formulas and the figures that it takes from the code."""

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.scale import model
from bench.scale.__main__ import AS_DEPLOYED, OTHERWISE
from bench.scale.model import Circumstances, simulate
from bench.scale.recovery import Herd, Steady
from chalicelib.domain.connection import Connection
from chalicelib.services.delivery import CONCURRENCY

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
MILLION = Circumstances(1_000_000)


def test_the_tables_are_what_the_simulation_prints() -> None:
    """A figure that changes is changed in the document too."""
    printed = subprocess.run(
        [sys.executable, "-m", "bench.scale"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    tables = printed.strip().split("\n\n")
    assert [len(table.splitlines()) for table in tables] == [5, 8, 5, 8]
    for table in tables:
        assert f"\n\n{table}\n\n" in DOCUMENT


def test_a_herd_is_limited_by_handshakes_or_by_the_partition() -> None:
    """100 KB are 25 read units and that of the head; two more are elsewhere."""
    few, many = Herd(100_000, 4096), Herd(100_000, 100 * 1024)

    assert (few.units, many.units) == (4, 28)
    assert (few.recoveries_a_second, few.seconds) == (500, 200)
    assert many.recoveries_a_second == pytest.approx(3000 / 26)
    assert many.wanted_units_a_second == 500 * 26
    assert many.messages_cost == pytest.approx(100_000 * (1 + 4) / 1e6)


def test_steady_clients_read_a_unit_for_each_ping_and_three_for_each_recovery() -> None:
    """In an hour 12 pings, and half a recovery."""
    assert Steady(1000).units_an_hour == pytest.approx(1000 * (12 + 3 / 2))
    assert Steady(1000).messages_cost == pytest.approx(1000 * 2 * 12.5 / 1e6)


@pytest.mark.parametrize("circumstances", [*AS_DEPLOYED.values(), *OTHERWISE.values()])
def test_the_simulation_agrees_with_the_formulas(circumstances: Circumstances) -> None:
    """Within 1 %: the formulas leave out what is read again and what handing on takes."""
    c = circumstances
    rate = min(min(1, c.memory_mb / 1769) / 0.000_13, CONCURRENCY / c.post_s, c.quota)
    connection_s = 1 / rate + c.gone * 0.006 / 8
    pages = math.ceil(c.connections / 2621)
    total_s = c.connections * connection_s + pages * 0.05

    course = simulate(c)

    assert course.lambda_s == pytest.approx(total_s, rel=0.01)
    assert course.invocations == math.ceil(total_s / 885)
    assert pages <= course.pages < pages + course.invocations
    assert course.read_units == pytest.approx(c.connections * 400 / 4096 / 2, rel=0.01)
    gb_s = total_s * c.memory_mb / 1024
    assert course.lambda_cost == pytest.approx(gb_s * 0.0000133334, rel=0.01, abs=1e-6)
    messages = c.connections * math.ceil(c.envelope_bytes / 32768)
    assert course.messages_cost == pytest.approx(messages / 1e6)
    assert course.cost == course.lambda_cost + course.dynamodb_cost + course.messages_cost


def test_each_figure_that_bounds_the_rate_does() -> None:
    """CPU, answers of `@connections` or the quota, whichever allows least."""
    assert MILLION.posts_a_second == pytest.approx(1 / 0.000_13)
    assert replace(MILLION, post_s=0.1).posts_a_second == pytest.approx(CONCURRENCY / 0.1)
    assert replace(MILLION, quota=100).posts_a_second == 100
    assert replace(MILLION, memory_mb=4096).posts_a_second == MILLION.posts_a_second


def test_an_invocation_ends_in_its_time_and_the_next_goes_on() -> None:
    """Whatever the timeout; nobody is left out."""
    for timeout_s in (30, 60, 900):
        course = simulate(replace(MILLION, timeout_s=timeout_s))

        window_s = timeout_s - 15
        assert course.lambda_s <= course.invocations * (window_s + 0.2)
        assert course.invocations == pytest.approx(course.lambda_s / window_s, abs=1)


def test_the_figures_taken_from_the_deployment_are_its_own() -> None:
    """Memory and timeout of `notify` in every stage, and what the code has."""
    config = json.loads((ROOT / ".chalice" / "config.json").read_text(encoding="utf-8"))
    for stage in config["stages"].values():
        notify = stage["lambda_functions"]["notify"]
        assert notify["lambda_memory_size"] == MILLION.memory_mb
        assert notify["lambda_timeout"] == MILLION.timeout_s
    assert config["lambda_architecture"] == "arm64"  # whose prices are used
    assert MILLION.window_s == 885
    assert f"| *w* | posts in flight | {CONCURRENCY} |" in DOCUMENT


def test_how_far_it_carries_is_what_the_simulation_says() -> None:
    """One invocation serves so many as the document says, and not many more."""
    said = re.search(r"one invocation, as deployed \| ([\d.]+) million", DOCUMENT)
    assert said
    most = float(said[1]) * 1_000_000

    assert simulate(replace(MILLION, connections=round(most))).invocations == 1
    assert simulate(replace(MILLION, connections=round(most * 1.03))).invocations == 2
    sixteen = re.search(r"a function that invokes itself \| (\d+) million", DOCUMENT)
    assert sixteen
    millions = int(sixteen[1])
    assert simulate(replace(MILLION, connections=millions * 1_000_000)).invocations == 16
    assert simulate(replace(MILLION, connections=(millions + 1) * 1_000_000)).invocations == 17


def test_a_typical_row_is_what_the_model_takes() -> None:
    """By DynamoDB's own measure: names and texts in UTF-8, a number half a byte a digit and one."""
    created_at = 1731324924561
    typical = Connection(
        connection_id="L0SM9cOFvHcCIhw=",
        created_at=created_at,
        ttl=created_at // 1000 + 86_400,
        client_id="ada.lovelace@example.com",
        connected_at=created_at - 4,
        source_ip="203.0.113.7",
        user_agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Safari/537.36",
        region="us-east-1",
        api_id="abcdef1234",
        stage="prod",
        domain_name="abcdef1234.execute-api.us-east-1.amazonaws.com",
    )

    size = sum(
        len(name) + (len(value.encode()) if isinstance(value, str) else len(str(value)) // 2 + 2)
        for name, value in typical.row().items()
    )

    assert 0.85 * model.ROW_BYTES < size <= model.ROW_BYTES
