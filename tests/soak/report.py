"""The report of a soak, as text and as a plot."""

from collections.abc import Iterator

from tests.soak.invariants import Series, summary
from tests.soak.plot import Panel, svg
from tests.soak.processes import FULL
from tests.soak.slopes import slope_of
from tests.soak.soak import Report

MOST_BREACHES = 40
MOST_SERIES = 10
UNITS = {"memory": (1e6, "MB"), "files": (1, ""), "threads": (1, "")}


def text_of(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    plan = report.plan
    yield plan.command
    yield from (f"  {number:8} {name}" for name, number in report.counts.items())
    yield "warnings and errors of the log:"
    for name, number in report.messages.most_common():
        if not name.startswith("INFO"):
            yield f"  {number:8} {name}"
    shares = sorted(share for _, share in report.busy)
    full = sum(share >= FULL for share in shares) / len(shares)
    median = shares[len(shares) // 2]
    yield f"CPU of the machine: {median:.0%} (median), full in {full:.0%} of the time"
    yield "processes that lived long enough, by how much they rose (and the bounds of 99 %):"
    yield from _slopes(report.series)
    for kind, number in summary(report.breaches).items():
        yield f"BREACH {kind}: {number}"
    yield from (f"  {breach}" for breach in report.breaches[:MOST_BREACHES])
    yield "no breach" if not report.breaches else f"{len(report.breaches)} breaches"


def plot_of(report: Report) -> str:
    """Return the plot: rows and sockets, the CPU, then memory, files and threads of processes."""
    longest = sorted(report.series, key=lambda each: -len(each.times))[:MOST_SERIES]
    panels = [
        Panel(
            "rows and open sockets",
            {
                "rows": [(time, rows) for time, rows, _ in report.timeline],
                "sockets": [(time, sockets) for time, _, sockets in report.timeline],
            },
        ),
        Panel(
            "CPU of the machine %", {"in use": [(time, 100 * share) for time, share in report.busy]}
        ),
    ]
    for name, (unit, label) in UNITS.items():
        lines = {
            each.name: [
                (time, value / unit)
                for time, value in zip(each.times, each.values[name], strict=True)
            ]
            for each in longest
        }
        panels.append(Panel(f"{name} {label}".strip(), lines))
    return svg(f"soak, seed {report.plan.seed}", panels, report.marks)


def _slopes(series: list[Series]) -> Iterator[str]:
    for each in series:
        found = []
        for name, (unit, label) in UNITS.items():
            if slope := slope_of(each.times, each.values[name]):
                found.append(
                    f"{name} {slope.mean / unit:.0f} {slope.rise / unit:+.1f} "
                    f"({slope.low / unit:+.1f} to {slope.high / unit:+.1f}) {label}".strip()
                )
        if found:
            yield f"  {each.name}, {each.times[-1] - each.times[0]:.0f} s: {'; '.join(found)}"
