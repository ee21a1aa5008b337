"""The report and its plot, from a run that is made up."""

import xml.etree.ElementTree as ET
from collections import Counter

from tests.soak.invariants import Breach, Series
from tests.soak.plan import Plan
from tests.soak.report import plot_of, text_of
from tests.soak.soak import Report

TIMES = [float(number) for number in range(400)]
REPORT = Report(
    plan=Plan(60, 7, 20, frozenset({"cuts"})),
    counts={"published": 3},
    messages=Counter({"INFO opened": 9, "ERROR row not removed": 2}),
    timeline=[(time, 5, 4) for time in TIMES],
    marks=[(30.0, "restarts & more")],
    series=[
        Series(
            "engine <1>",
            TIMES,
            {"memory": [5e7 + time for time in TIMES], "files": TIMES, "threads": TIMES},
        )
    ],
    busy=[(time, 0.5 if time < 380 else 1.0) for time in TIMES],
    breaches=[Breach("end not told", "a"), Breach("end not told", "b")],
)


def test_the_text_tells_what_broke_and_how_to_repeat_it() -> None:
    text = "\n".join(text_of(REPORT))

    assert "make soak MINUTES=1 SEED=7 CLIENTS=20 FAULTS=cuts" in text
    assert "BREACH end not told: 2" in text
    assert "2 ERROR row not removed" in text
    assert "INFO" not in text
    assert "CPU of the machine: 50% (median), full in 5% of the time" in text
    assert "files 280 +239.0 " in text


def test_the_plot_is_svg_with_a_line_for_each_series() -> None:
    root = ET.fromstring(plot_of(REPORT))  # noqa: S314 - it is the project's own

    tag = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{tag}polyline")) == 2 + 1 + 3
    assert {each.text for each in root.iter(f"{tag}title")} == {"restarts & more"}
    assert "engine <1>" in {each.text for each in root.iter(f"{tag}text")}
