"""Plots of simulated days, as SVG; matplotlib is in requirements-plots.txt."""

from __future__ import annotations

import hashlib
import importlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.scale.day import Day
    from bench.scale.load import Sample

FILE = "scale-day.svg"
NOON_S = 12 * 3600
HOUR_S = 3600
COLOURS = {"default": "tab:red", "raised": "tab:blue"}
LABELS = {"default": "quotas at their defaults", "raised": "quotas raised"}


def digest(days: Mapping[str, Day]) -> str:
    """Return what identifies the data of the plots: the days in numbers of three digits."""
    data = {
        name: [[f"{value:.3g}" for value in vars(each).values()] for each in day.samples[::60]]
        for name, day in days.items()
    }
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def draw(days: Mapping[str, Day], folder: Path) -> None:
    """Write the plots of the days that have a colour."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "scale", "font.size": 8, "svg.fonttype": "none"}
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(2, 2, figsize=(10, 6), constrained_layout=True)
    panels: list[tuple[str, Callable[[Sample], float], bool]] = [
        ("Connected around the outage, millions", lambda s: s.open / 1e6, True),
        ("Requests of clients and sweep in a second, thousands", lambda s: s.requests / 1e3, False),
        ("Posts in a second after the outage, thousands", lambda s: s.posts / 1e3, True),
        ("Rows of ended connections, millions", lambda s: s.orphans / 1e6, False),
    ]
    for axis, (title, value, near) in zip(axes.flat, panels, strict=True):
        axis.set_title(title)
        axis.set_xlabel("hour of the day")
        axis.grid(alpha=0.3)
        for name, colour in COLOURS.items():
            shown = [each for each in days[name].samples if not near or _near(each)]
            axis.plot(
                [each.at / HOUR_S for each in shown],
                [value(each) for each in shown],
                color=colour,
                linewidth=1,
                label=LABELS[name],
            )
        axis.set_ylim(bottom=0)
    axes.flat[0].legend()
    metadata = {"Date": None, "Description": digest(days)}
    figure.savefig(folder / FILE, metadata=metadata)
    pyplot.close(figure)


def _near(sample: Sample) -> bool:
    return NOON_S - 600 <= sample.at <= NOON_S + HOUR_S
