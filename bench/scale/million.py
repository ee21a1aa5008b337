"""Simulate a day of a million connections: `python -m bench.scale.million`.

It prints the tables of docs/scale.md in a minute or two; `--write` puts them there, and the plots
beside them, for which `pip install -r requirements-plots.txt` is needed.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from bench.scale.__main__ import markdown
from bench.scale.plots import digest, draw
from bench.scale.report import report

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def written(document: str, tables: list[str]) -> str:
    """Return the document with its tables replaced that have the same heads."""
    by_head = {table.partition("\n")[0]: table for table in tables}
    return TABLE.sub(lambda old: by_head.get(old[0].partition("\n")[0], old[0]), document)


@click.command(name="python -m bench.scale.million")
@click.option("--write", is_flag=True, help="Put tables and plots into docs.")
def main(*, write: bool) -> None:
    """Print which limits break in which order, and what the day costs."""
    found, days = report()
    tables = [markdown(head, rows) for head, rows in found]
    if write:
        draw(days, DOCUMENT.parent)
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), tables), "utf-8")
    for table in tables:
        click.echo(table)
    click.echo(f"data of the plots: {digest(days)}")


if __name__ == "__main__":
    main()
