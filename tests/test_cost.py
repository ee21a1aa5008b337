"""docs/cost.md is true: its tables, and the figures that they take from the project."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cost.__main__ import measured
from bench.cost.model import Usage, alarm_metrics, bill, custom_metrics
from bench.cost.prices import REGIONS
from chalicelib.telemetry.metrics import Metric

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
PRICES = REGIONS["us-east-1"]
THOUSAND = Usage(1000)


def test_the_tables_are_what_the_script_prints() -> None:
    """A figure that changes is changed in the document too."""
    printed = subprocess.run(
        [sys.executable, "-m", "bench.cost"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    tables = printed.strip().split("\n\n")
    assert len(tables) == 4
    for table in tables:
        assert f"\n\n{table}\n\n" in DOCUMENT


def test_the_bill_of_one_case_has_its_units() -> None:
    """1,000 connections for 10 hours are 18 million minutes a month."""
    options = ["--connections", "1000", "--hours", "10"]
    printed = subprocess.run(
        [sys.executable, "-m", "bench.cost", *options],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert "| API Gateway: connection minutes | 18,000,000 | $4.50 |" in printed


@pytest.mark.parametrize(
    ("change", "line", "factor"),
    [
        ({"connections": 2000}, "API Gateway: connection minutes", 2),
        ({"envelope_bytes": 32 * 1024}, "API Gateway: notifications", 1),
        ({"envelope_bytes": 32 * 1024 + 1}, "API Gateway: notifications", 2),
        ({"ping_minutes": 10}, "API Gateway: pings and answers", 0.5),
        ({"minutes": 60}, "DynamoDB: index written and deleted", 2),
        ({"hours": 12}, "EventBridge: ends of connections", 0.5),
        ({"notifications_a_day": 40}, "SNS: notifications", 2),
        ({"notifications_a_day": 40}, "DynamoDB: history written", 2),
        ({"envelope_bytes": 900}, "DynamoDB: history written", 4 / 6),
        ({"minutes": 60}, "API Gateway: recoveries and answers", 2),
        ({"history": False}, "API Gateway: recoveries and answers", 0),
        ({"history": False}, "DynamoDB: history read", 0),
    ],
)
def test_a_line_grows_with_what_is_metered(
    change: dict[str, float], line: str, factor: float
) -> None:
    """A message is metered in units of 32 KB."""
    log = measured()
    before = {x.name: x.cost for x in bill(THOUSAND, PRICES, log).lines}
    after = {x.name: x.cost for x in bill(replace(THOUSAND, **change), PRICES, log).lines}  # type: ignore[arg-type]

    assert after[line] == pytest.approx(before[line] * factor)


def test_the_total_leaves_out_what_may_not_be_metered() -> None:
    """Handshakes and probes are shown, but not added."""
    made = bill(THOUSAND, PRICES, measured())

    unknown = [line.name for line in made.lines if not line.known]
    assert unknown == ["API Gateway: handshakes", "API Gateway: the sweep's probes"]
    assert made.total == pytest.approx(sum(x.cost for x in made.lines if x.name not in unknown))


def test_the_history_is_written_and_read_as_its_tests_count() -> None:
    """A small broadcast costs 1 read and 4 write units, a recovery 3 read units, a ping 1."""
    small = replace(THOUSAND, envelope_bytes=900)
    lines = {x.name: x.units for x in bill(small, PRICES, measured()).lines}

    assert lines["DynamoDB: history written"] == 20 * 30 * 4
    expected = THOUSAND.pings + 3 * THOUSAND.handshakes + 20 * 30
    assert lines["DynamoDB: history read"] == pytest.approx(expected)


def test_the_alternatives_are_compared_with_this_bill() -> None:
    """The page rounds to dollars."""
    total = bill(THOUSAND, PRICES, measured()).total
    page = (ROOT / "docs" / "alternatives.md").read_text(encoding="utf-8")

    assert f"| [this project](cost.md) | ${total:.0f} |" in page


def test_the_sweep_probes_no_more_than_its_rate_allows() -> None:
    """With very many connections a pass takes several runs."""
    assert Usage(1_000_000).probes == pytest.approx(Usage(2_000_000).probes)
    assert Usage(1000).passes_a_run == 1


def test_metrics_and_alarms_are_counted_from_the_project() -> None:
    """Each metric in an alarm's expression is metered."""
    resources = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Resources"]

    assert custom_metrics(Usage(0)) == 4
    assert custom_metrics(THOUSAND) == len(Metric) + 3 + 6
    assert custom_metrics(replace(THOUSAND, history=False)) == len(Metric) - 4 + 3 + 6
    assert alarm_metrics(resources) == json.dumps(resources).count('"TreatMissingData"') + sum(
        len(alarm["Properties"]["Metrics"]) - 2
        for alarm in resources.values()
        if "Metrics" in alarm.get("Properties", {})
    )


def test_the_row_is_a_part_of_the_line_that_logs_it() -> None:
    """Leaving it out saves its bytes and no more."""
    found = measured()
    assert 0 < found.row < found.connect
