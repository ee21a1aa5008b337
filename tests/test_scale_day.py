"""The simulated day agrees with closed formulas, with bench/cost and with the real functions."""

from __future__ import annotations

import json
import math
import re
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cost import model
from bench.cost.__main__ import measured
from bench.cost.model import Usage, bill
from bench.cost.prices import REGIONS
from bench.scale import day as simulated
from bench.scale.counted import counted, units_of
from bench.scale.day import Day
from bench.scale.draws import Draws
from bench.scale.limits import UNLIMITED, Limit, Limits, rounded_up
from bench.scale.load import Load, Total
from bench.scale.million import written
from bench.scale.pricing import price
from bench.scale.recovery import LONGEST_S, PING_S
from bench.scale.scenarios import breaks
from chalicelib.variables import SPREAD_SECONDS
from incident_websocket.backoff import CAP_S

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "scale.md"
CALM = Load(100_000, drops=0, lost=0, seconds=3 * 3600)
PRICES = REGIONS["us-east-1"]


@pytest.mark.parametrize(("among", "share"), [(20, 0.1), (10_000, 0.001), (1e6, 0.01), (1e6, 0.9)])
def test_draws_have_the_mean_and_the_variance_of_a_binomial(among: float, share: float) -> None:
    draws = Draws(7)

    drawn = [draws.binomial(among, share) for _ in range(4000)]

    mean, variance = among * share, among * share * (1 - share)
    assert statistics.fmean(drawn) == pytest.approx(mean, abs=5 * math.sqrt(variance / 4000))
    assert statistics.variance(drawn) == pytest.approx(variance, rel=0.15)
    assert all(0 <= each <= among for each in drawn)


@pytest.mark.proof
def test_a_seed_repeats_a_day_and_another_does_not() -> None:
    load = Load(10_000, seconds=3600, notifications=(600.0,))

    first, again, other = (Day(load, seed=seed).run() for seed in (3, 3, 4))

    assert (first.totals, first.samples) == (again.totals, again.samples)
    assert first.totals != other.totals


def test_connections_follow_littles_law() -> None:
    """Open connections are the rate of handshakes times 2 hours."""
    calm = Day(CALM, UNLIMITED).run()

    rate = calm.totals[Total.HANDSHAKES] / CALM.seconds
    assert rate * LONGEST_S == pytest.approx(calm.open, rel=0.001)
    assert calm.totals[Total.PINGS] == pytest.approx(
        calm.totals[Total.CONNECTION_S] / PING_S, rel=0.005
    )


def test_no_client_is_lost_or_made_up() -> None:
    """Each is connected or away, also in an outage."""
    load = Load(50_000, outage=(1800.0, 300.0), seconds=3 * 3600)

    disturbed = Day(load, Limits(handshakes=50)).run()

    assert min(each.open for each in disturbed.samples) == 0
    for each in disturbed.samples:
        assert each.open + each.away == pytest.approx(load.clients, rel=1e-6)


def test_ends_that_nothing_tells_are_binomial() -> None:
    load = replace(CALM, lost=0.02)

    some = Day(load, UNLIMITED).run().totals

    ended = some[Total.ENDS] + some[Total.ORPHANED]
    deviation = math.sqrt(ended * 0.02 * 0.98)
    assert some[Total.ORPHANED] == pytest.approx(ended * 0.02, abs=5 * deviation)


def test_a_herd_is_back_when_its_handshakes_are_admitted() -> None:
    """At the quota until fewer clients than that retry in a second, then each at its own time."""
    load = Load(400_000, drops=0, lost=0, outage=(60.0, 60.0), return_s=1, seconds=3000)
    quota = 500

    herd = Day(load, replace(UNLIMITED, handshakes=quota)).run()

    retrying = quota * simulated.RETRY_S
    expected = (load.clients - retrying) / quota
    expected += simulated.RETRY_S * math.log(retrying / (0.001 * load.clients))
    assert herd.all_back == pytest.approx(expected, rel=0.03)
    assert herd.pressure[Limit.HANDSHAKES].first == 120


@pytest.mark.parametrize(("quota", "rate"), [(math.inf, 1 / 0.000_13), (6000, None)])
def test_a_delivery_takes_what_cpu_and_quota_leave(quota: float, rate: float | None) -> None:
    load = replace(CALM, notifications=(600.0,), seconds=1200)

    day = Day(load, replace(UNLIMITED, account_requests=quota, probes=0)).run()

    [delivery] = day.deliveries.done
    if rate is None:  # posts and messages share the quota in the ratio of what they ask for
        messages = load.clients / PING_S + 2 * load.clients / LONGEST_S
        posts = day.deliveries.rate
        rate = quota * posts / (posts + messages)
    assert delivery.posted == pytest.approx(load.clients, rel=0.001)
    assert delivery.seconds == pytest.approx(load.clients / rate, rel=0.07)
    assert (delivery.throttled > 1) == (quota == 6000)


def test_a_pass_of_the_sweep_takes_as_many_runs_as_its_probes_need() -> None:
    """A run of 300 s probes for 230 s, 500 a second: 115,000 rows."""
    load = Load(300_000, drops=0, lost=0, seconds=3 * 3600)

    sweeping = Day(load, UNLIMITED).run().sweeping

    runs = math.ceil(300_000 / 115_000)
    assert sweeping.passes == 36 // runs
    assert sweeping.probed == pytest.approx(36 // runs * 300_000, rel=0.001)
    last_run_s = (300_000 - (runs - 1) * 115_000) / 500
    assert sweeping.most_lag_s == pytest.approx((2 * runs - 1) * 300 + last_run_s, abs=2)


def test_orphans_are_removed_within_two_passes() -> None:
    """Half of them are too old and need no probe."""
    load = Load(50_000, drops=0.5, lost=0.1, seconds=3600)

    day = Day(load, UNLIMITED).run()

    rate = day.totals[Total.ORPHANED] / load.seconds
    assert 0 < day.sweeping.orphans < rate * 2 * 300 * 1.2
    assert day.sweeping.removed + day.sweeping.orphans == pytest.approx(
        day.totals[Total.ORPHANED], rel=1e-6
    )


@pytest.mark.parametrize("limit", list(Limit))
def test_each_limit_refuses_what_is_more(limit: Limit) -> None:
    """With a quota of a tenth of what is needed; the sweep is late instead."""
    load = Load(
        200_000, outage=(600.0, 60.0), notifications=(700.0,), busiest=0.5, seconds=1500, lost=0
    )
    free = Day(load, UNLIMITED).run()
    allowed = 10.0 if limit is Limit.SWEEP else free.pressure[limit].most / 10
    tight = replace(UNLIMITED, **{limit: allowed})
    if limit is Limit.SWEEP:
        load = replace(load, seconds=2000)

    day = Day(load, tight).run()

    assert list(day.broken()) == [limit]
    assert list(free.broken()) == []


def test_limits_are_raised_one_after_the_other_until_none_is_in_the_way() -> None:
    load = Load(300_000, outage=(600.0, 60.0), notifications=(690.0,), seconds=1700)

    found, last = breaks(load, Limits(stage_requests=1200))

    assert [each.at for each in found] == sorted(each.at for each in found)
    assert found[0].limit is Limit.STAGE
    assert len({each.limit for each in found}) == len(found)
    assert Limit.STREAM in {each.limit for each in found if each.raised is None}
    assert all(each.raised is None or each.raised > each.needed > each.allowed for each in found)
    first = found[0].day.all_back
    assert last.all_back is not None
    assert first is None or last.all_back < first


@pytest.mark.proof
def test_a_calm_day_costs_a_thirtieth_of_a_month() -> None:
    """Line by line as bench/cost has it, but for the time of `notify`, which is simulated."""
    load = Load(50_000, drops=0, lost=0, notifications=tuple(2160 + 4320 * n for n in range(20)))
    month = {line.name: line for line in bill(Usage(load.clients), PRICES, measured()).lines}

    made = price(Day(load, UNLIMITED).run(), PRICES)

    for line in made.lines:
        if line.name != "Lambda: notify":
            assert line.cost == pytest.approx(month[line.name].cost / 30, rel=0.01), line.name
        assert line.known == month[line.name].known
    left_out = month.keys() - {line.name for line in made.lines}
    assert sum(month[name].cost for name in left_out) / 30 < 0.01 * made.total


def test_the_functions_ask_for_what_the_cost_page_says() -> None:
    units = counted()

    assert (units.connect.writes, units.disconnect.writes) == (1, 1)
    assert (units.connect.index_writes, units.disconnect.index_writes) == (1, 1)
    assert units.ping.reads == model.HEADS_UNITS
    assert units.recover.reads == model.RECOVER_UNITS
    assert units.disconnect.events == 1


def test_a_call_whose_units_are_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="BatchWriteItem is called; its units are not known here"):
        units_of([("BatchWriteItem", {})])


def test_the_figures_taken_from_the_project_are_its_own() -> None:
    mapping = json.loads((ROOT / ".chalice" / "resources.json").read_text())["Mappings"]["Stages"]

    assert Limits().stage_requests == mapping["prod"]["RequestsPerSecond"]
    assert simulated.RETRY_S == CAP_S / 2
    assert float(SPREAD_SECONDS.default or 0) == simulated.SPREAD_S


@pytest.mark.parametrize(
    ("value", "rounded"), [(3.2, 4), (16_672, 17_000), (100, 100), (1449, 1500)]
)
def test_limits_are_rounded_up_to_two_digits(value: float, rounded: float) -> None:
    assert rounded_up(value) == rounded


def test_only_tables_with_the_same_head_are_replaced() -> None:
    document = "# A\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n| c |\n| - |\n"

    assert written(document, ["| a | b |\n| - | - |\n| 3 | 4 |\n"]) == document.replace(
        "| 1 | 2 |", "| 3 | 4 |"
    )


@pytest.mark.proof
def test_the_tables_and_plots_are_those_of_the_simulation() -> None:
    """`python -m bench.scale.million --write` renews them."""
    printed = subprocess.run(
        [sys.executable, "-m", "bench.scale.million"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    *tables, digest = printed.strip().split("\n\n")
    assert len(tables) == 2
    for table in tables:
        assert f"\n\n{table}\n\n" in DOCUMENT.read_text(encoding="utf-8")
    plot = (ROOT / "docs" / "scale-day.svg").read_text(encoding="utf-8")
    found = re.search(r"<dc:description>(\w+)</dc:description>", plot)
    assert found
    assert f"data of the plots: {found[1]}" == digest


@pytest.mark.proof
def test_the_real_functions_do_what_the_simulation_does() -> None:
    """With 10,000 connections."""
    printed = subprocess.run(
        [sys.executable, "-m", "bench.scale.real"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert printed.returncode == 0, printed.stdout + printed.stderr
    assert len(printed.stdout.splitlines()) == 12
