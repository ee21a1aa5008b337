"""Print what a stage costs a month: `python -m bench.cost --connections 1000`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cost import logs
from bench.cost.model import Usage, bill
from bench.cost.prices import REGIONS
from tests.support.events import connect_event, disconnect_event

if TYPE_CHECKING:
    from bench.cost.logs import LogBytes
    from bench.cost.model import Bill

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
SIZES = (0, 50, 1_000, 100_000, 1_000_000)


def measured() -> LogBytes:
    """Return the bytes of the log of a connection whose client is known."""
    return logs.measure(connect_event(query={"clientId": ["ada"]}), disconnect_event())


def money(dollars: float) -> str:
    """Format a sum, with cents below a thousand dollars."""
    return f"${dollars:,.2f}" if dollars < 1000 else f"${dollars:,.0f}"


def amount(units: float) -> str:
    """Format a number of units."""
    return f"{units:,.2f}" if 0 < units < 100 and units % 1 else f"{units:,.0f}"


def table(rows: list[list[str]]) -> str:
    """Return rows as a table in Markdown; the first is its head."""
    rule = ["---"] + ["--:"] * (len(rows[0]) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (rows[0], rule, *rows[1:])) + "\n"


def by_line(bills: dict[str, Bill]) -> str:
    """Return every line of several bills, and their totals."""
    first, *_ = bills.values()
    rows = [["", *bills]]
    for n, line in enumerate(first.lines):
        name = line.name if line.known else f"*{line.name}, if metered*"
        rows.append([name, *(money(bill.lines[n].cost) for bill in bills.values())])
    total = ["**a month**", *(f"**{money(bill.total)}**" for bill in bills.values())]
    return table([*rows, total])


def all_tables(usage: Usage) -> list[str]:
    """Return the tables of docs/cost.md, in their order."""
    found = measured()
    tables = []
    for prices in REGIONS.values():
        bills = {
            f"{size:,}" if size else "idle": bill(replace(usage, connections=size), prices, found)
            for size in SIZES
        }
        tables.append(by_line(bills))
    ways = {
        "as it is": usage,
        "without the row on the line `connected`": replace(usage, row_logged=False),
        "without the history": replace(usage, history=False),
        "with a ping every 30 s, for a `SILENT_AFTER_SECONDS` of 90": replace(
            usage, ping_minutes=0.5
        ),
    }
    rows = [["a month in us-east-1, by connections", *(f"{size:,}" for size in SIZES[1:])]]
    for name, way in ways.items():
        totals = [
            bill(replace(way, connections=size), REGIONS["us-east-1"], found).total
            for size in SIZES[1:]
        ]
        rows.append([name, *map(money, totals)])
    tables.append(table(rows))
    rows = [["bytes in the logs", "billed"]]
    rows += [[name, f"{value}"] for name, value in vars(found).items()]
    return [*tables, table(rows)]


def written(document: str, tables: list[str]) -> str:
    """Return the document with its first tables replaced."""
    left = iter(tables)
    return TABLE.sub(lambda old: next(left, old[0]), document)


@click.command(name="python -m bench.cost")
@click.option("--connections", type=int, help="Connections open at the same time.")
@click.option("--hours", default=24.0, show_default=True, help="Hours of each day.")
@click.option("--minutes", default=120.0, show_default=True, help="Life of a connection.")
@click.option("--ping-minutes", default=5.0, show_default=True, help="Time between two pings.")
@click.option("--notifications", default=20.0, show_default=True, help="Notifications a day.")
@click.option("--envelope", default=1024, show_default=True, help="Bytes of a notification.")
@click.option("--region", type=click.Choice(list(REGIONS)), default="us-east-1", show_default=True)
@click.option("--no-history", is_flag=True, help="Neither record nor recover notifications.")
@click.option("--write", is_flag=True, help="Put the tables into docs/cost.md.")
def main(
    connections: int | None,
    hours: float,
    minutes: float,
    ping_minutes: float,
    notifications: float,
    envelope: int,
    region: str,
    *,
    no_history: bool,
    write: bool,
) -> None:
    """Print the bill of a month. Without --connections, print the tables of docs/cost.md."""
    if connections is None:
        tables = all_tables(Usage(0))
        if write:
            DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), tables), "utf-8")
        for each in tables:
            click.echo(each)
        return
    usage = Usage(connections, hours, minutes, ping_minutes, notifications, envelope)
    usage = replace(usage, history=not no_history)
    made = bill(usage, REGIONS[region], measured())
    rows = [["", "units", "US dollars"]]
    rows += [[x.name, f"{amount(x.units)} {x.unit}".strip(), money(x.cost)] for x in made.lines]
    click.echo(table([*rows, ["**a month**", "", f"**{money(made.total)}**"]]))


if __name__ == "__main__":
    main()
