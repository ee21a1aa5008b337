"""The figures of docs/sweep.md about silent clients, from the rates and times that they rest on."""

import json
import math
import re

from chalicelib.handlers.sweep import REMOVAL_S, RESERVE_S
from chalicelib.services.probing import PROBES_A_SECOND
from chalicelib.variables import SWEEP_MINUTES
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "sweep.md").read_text(encoding="utf-8")
CONFIG = json.loads((ROOT / ".chalice" / "config.json").read_text())
MEASURED = 2_400  # rows/s without the limit of the rate, rounded down: docs/sweep.md#measured


def noticed(connections: int) -> list[str]:
    """Return a row of the table: how long the probes, and a pass, of so many connections take."""
    [timeout_s] = {
        stage["lambda_functions"]["sweep"]["lambda_timeout"] for stage in CONFIG["stages"].values()
    }
    probing_s = connections / PROBES_A_SECOND
    runs = math.ceil(probing_s / (timeout_s - RESERVE_S - REMOVAL_S))
    every_min = SWEEP_MINUTES.read({})
    return [f"{connections:,}", f"{probing_s:,.0f} s", str(runs), f"{runs * every_min} min"]


def test_the_time_until_a_silent_client_is_noticed_is_that_of_a_pass() -> None:
    section = DOCUMENT.split("## Silent clients")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if re.match(r"\| [\d,]+ \|", line)
    ]

    assert rows == [noticed(1_000), noticed(100_000), noticed(1_000_000)]


def test_the_rate_of_the_probes_decides_and_not_the_code() -> None:
    table = DOCUMENT.split("## Measured")[1]
    rates = re.findall(r"\| 10+,000 \| ([\d,]+)", table)
    measured = [int(rate.replace(",", "")) for rate in rates]

    assert min(measured) > MEASURED > 4 * PROBES_A_SECOND
