"""The tables of a simulated day in docs/scale.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cost.__main__ import money
from bench.cost.prices import REGIONS
from bench.scale.day import Day
from bench.scale.limits import Limit, Limits
from bench.scale.load import Total
from bench.scale.pricing import price
from bench.scale.scenarios import CLIENTS, DAY, QUIET, SHORT, breaks

if TYPE_CHECKING:
    from bench.cost.model import Bill
    from bench.scale.deliveries import Delivery
    from bench.scale.scenarios import Break

# The least for `RequestsPerSecond`, which prod has at 500: docs/scale.md.
AS_ADVISED = Limits(stage_requests=CLIENTS / 250)
NAMES = {
    Limit.STAGE: "requests a second of the stage (`RequestsPerSecond`)",
    Limit.HANDSHAKES: "new connections a second",
    Limit.ACCOUNT: "requests a second of the account",
    Limit.ENVIRONMENTS: "concurrent executions of Lambda",
    Limit.SCALING: "executions by which a function grows in a second",
    Limit.TABLE: "write units a second of a new table",
    Limit.KEY: "write units a second of the busiest client's key in the index",
    Limit.STREAM: "read units a second of the stream of broadcasts",
    Limit.SWEEP: "probes a second of the sweep",
}
BREAKS_HEAD = (
    "limit",
    "default",
    "first at",
    "needed",
    "raised to",
    "connected at least",
    "all back after",
    "pings throttled",
    "the middle one took",
)
COSTS_HEAD = ("", "a quiet day", "a day with an outage")


def clock(second: float) -> str:
    """Return a time of the day."""
    return f"{int(second // 3600)}:{int(second % 3600 // 60):02}:{int(second % 60):02}"


def middle(day: Day) -> Delivery | None:
    """Return the notification that was published while everybody came back."""
    found = [
        each
        for each in (*day.deliveries.done, *day.deliveries.active)
        if 0 <= each.began - day.load.back_from < day.load.return_s
    ]
    return found[0] if found else None


def consequences(day: Day) -> list[str]:
    """Return what clients notice of the limits of a day."""
    lowest = min(each.open for each in day.samples if each.at < (day.load.outage or (1e9,))[0])
    delivery = middle(day)
    throttled = day.totals[Total.THROTTLED]
    return [
        f"{lowest / day.load.clients:.0%}",
        "never" if day.all_back is None else f"{day.all_back:,.0f} s",
        f"{throttled / (day.totals[Total.PINGS] + throttled):.1%}",
        f"{delivery.seconds:,.0f} s" if delivery else "",
    ]


def breaks_table(found: list[Break], last: Day) -> list[list[str]]:
    """Return a row for each limit in the order in which they break, and one for the last day."""
    rows = [
        [
            NAMES[each.limit],
            f"{each.allowed:,.0f}",
            clock(each.at),
            f"{each.needed:,.0f}",
            "cannot be" if each.raised is None else f"{each.raised:,.0f}",
            *consequences(each.day),
        ]
        for each in found
    ]
    return [*rows, ["with all of this", "", "", "", "", *consequences(last)]]


def costs_table(bills: list[Bill]) -> list[list[str]]:
    """Return a row for each line of the bills, and their totals."""
    rows = []
    for number, line in enumerate(bills[0].lines):
        name = line.name if line.known else f"*{line.name}, if metered*"
        rows.append([name, *(money(bill.lines[number].cost) for bill in bills)])
    return [*rows, ["**the day**", *(f"**{money(bill.total)}**" for bill in bills)]]


def report() -> tuple[list[tuple[tuple[str, ...], list[list[str]]]], dict[str, Day]]:
    """Return heads and rows of the tables, and the days that the plots show."""
    found, last = breaks(SHORT, AS_ADVISED)
    default = Limits(stage_requests=last.limits.stage_requests)
    days = {
        "quiet": Day(QUIET, default).run(),
        "default": Day(DAY, default).run(),
        "raised": Day(DAY, last.limits).run(),
    }
    prices = REGIONS["us-east-1"]
    bills = [price(days["quiet"], prices), price(days["default"], prices)]
    tables = [(BREAKS_HEAD, breaks_table(found, last)), (COSTS_HEAD, costs_table(bills))]
    return tables, days
