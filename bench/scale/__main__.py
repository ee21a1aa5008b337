"""Print the tables of docs/scale.md: `python -m bench.scale`."""

from dataclasses import replace

import click

from bench.scale.model import Circumstances, Course, simulate

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
    rule = ["---"] + ["--:"] * (len(HEAD) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (HEAD, rule, *rows)) + "\n"


@click.command()
def main() -> None:
    """Print what a notification to very many connections takes."""
    click.echo(table(AS_DEPLOYED))
    click.echo(table(OTHERWISE))


if __name__ == "__main__":
    main()
