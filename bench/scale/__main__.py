"""Print the tables of docs/scale.md: `python -m bench.scale`."""

from collections.abc import Sequence
from dataclasses import replace

import click

from bench.scale.model import Circumstances, Course, simulate
from bench.scale.recovery import Herd, Steady

HEAD = (
    "",
    "connections",
    "posts/s",
    "of the quota",
    "Lambda time",
    "hand-ons",
    "read units",
    "Lambda",
    "DynamoDB",
    "API Gateway",
    "in all",
)
CLIENTS = (1_000, 100_000, 1_000_000)
MISSED_BYTES = (4 * 1024, 100 * 1024)
STEADY_HEAD = (
    "clients",
    "requests/s",
    "read units/h",
    "DynamoDB/h",
    "messages/h",
    "Lambda/h",
)
HERD_HEAD = (
    "clients",
    "missed",
    "wanted of `all`, units/s",
    "recoveries/s",
    "recovered after",
    "read units",
    "DynamoDB",
    "messages",
)
MILLION = Circumstances(1_000_000)
AS_DEPLOYED = {
    "10 thousand": Circumstances(10_000),
    "100 thousand": Circumstances(100_000),
    "a million": MILLION,
}
OTHERWISE = {
    "`@connections` answers in 50 ms": replace(MILLION, post_s=0.050),
    "`@connections` answers in 2 ms": replace(MILLION, post_s=0.002),
    "a quota of 1,000 a second": replace(MILLION, quota=1000),
    "256 MB of memory": replace(MILLION, memory_mb=256),
    "a tenth is gone": replace(MILLION, gone=0.1),
    "an envelope of 128 KB": replace(MILLION, envelope_bytes=128 * 1024),
}


def row(name: str, course: Course) -> list[str]:
    """Return the cells of one case."""
    return [
        name,
        f"{course.circumstances.connections:,}",
        f"{course.posts_a_second:,.0f}",
        f"{course.posts_a_second / course.circumstances.quota:.0%}",
        f"{course.lambda_s:,.1f} s",
        str(course.invocations - 1),
        f"{course.read_units:,.0f}",
        f"${course.lambda_cost:.5f}",
        f"${course.dynamodb_cost:.5f}",
        f"${course.messages_cost:.5f}",
        f"${course.cost:.5f}",
    ]


def table(cases: dict[str, Circumstances]) -> str:
    """Return the cases as a table in Markdown."""
    rows = [row(name, simulate(circumstances)) for name, circumstances in cases.items()]
    return markdown(HEAD, rows)


def steady() -> str:
    """Return the table of clients that stay connected."""
    rows = [
        [
            f"{each.clients:,}",
            f"{each.requests_a_second:,.1f}",
            f"{each.units_an_hour:,.0f}",
            f"${each.dynamodb_cost:.3f}",
            f"${each.messages_cost:.2f}",
            f"${each.lambda_cost:.3f}",
        ]
        for each in map(Steady, CLIENTS)
    ]
    return markdown(STEADY_HEAD, rows)


def herds() -> str:
    """Return the table of clients that all reconnect at once."""
    rows = [
        [
            f"{each.clients:,}",
            f"{each.missed_bytes // 1024} KB",
            f"{each.wanted_units_a_second:,.0f}",
            f"{each.recoveries_a_second:,.0f}",
            f"{each.seconds:,.0f} s",
            f"{each.clients * each.units:,}",
            f"${each.dynamodb_cost:.3f}",
            f"${each.messages_cost:.3f}",
        ]
        for each in (Herd(clients, missed) for missed in MISSED_BYTES for clients in CLIENTS)
    ]
    return markdown(HERD_HEAD, rows)


def markdown(head: Sequence[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)) + "\n"


@click.command()
def main() -> None:
    """Print what a notification to very many connections takes, and what recovering does."""
    click.echo(table(AS_DEPLOYED))
    click.echo(table(OTHERWISE))
    click.echo(steady())
    click.echo(herds())


if __name__ == "__main__":
    main()
