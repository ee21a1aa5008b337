"""Runs every fuzzer, each for its share of the time: `python -m tests.fuzz --minutes 10`.

The inputs that coverage-guided fuzzing finds go to `build/fuzz`. `--keep` adds those that cover
something new to the corpus of the repository.
"""

import re
import subprocess
import sys
from pathlib import Path

import click

from tests.fuzz.machines import NAMES
from tests.fuzz.targets import CORPUS, TARGETS

BUILD = Path("build/fuzz")
MODULES = ["-m"]


@click.command()
@click.option("--minutes", type=float, default=10.0, help="How long to try, all together.")
@click.option("--seed", type=int, default=0, help="Where to begin.")
@click.option("--only", multiple=True, help="Only this target or machine. May be repeated.")
@click.option("--keep", is_flag=True, help="Add what covers something new to the corpus.")
def main(minutes: float, seed: int, only: tuple[str, ...], keep: bool) -> None:
    """Try everything in turn, and exit with 1 if anything was found."""
    chosen = [name for name in (*TARGETS, *NAMES) if not only or name in only]
    if unknown := set(only) - {*TARGETS, *NAMES}:
        known = ", ".join((*TARGETS, *NAMES))
        raise click.UsageError(f"{', '.join(sorted(unknown))} is unknown; expected {known}")
    share_s = max(1, round(minutes * 60 / len(chosen)))
    found = [name for name in chosen if not _tried(name, share_s, seed, keep=keep)]
    if found:
        raise click.ClickException(f"found something in {', '.join(found)}; see {BUILD}")


def _tried(name: str, seconds: int, seed: int, *, keep: bool) -> bool:
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    if name in NAMES:
        arguments = ["tests.fuzz.machines", name, f"--minutes={seconds / 60}", f"--seed={seed}"]
    else:
        arguments = [
            "tests.fuzz.one",
            name,
            str(folder),
            f"-max_total_time={seconds}",
            f"-seed={seed + 1}",
        ]
    log = BUILD / f"{name}.log"
    is_calm = _run(log, arguments) == 0
    click.echo(f"{name}: {_summary(log.read_text(errors='replace'))}")
    if keep and is_calm and name in TARGETS:
        _run(
            BUILD / "keep.log",
            ["tests.fuzz.one", name, str(CORPUS / name), "-merge=1", str(folder)],
        )
    return is_calm


def _run(log: Path, arguments: list[str]) -> int:
    with log.open("w") as output:
        command = [sys.executable, *MODULES, *arguments]
        done = subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT)
    return done.returncode


def _summary(text: str) -> str:
    """Return the last of what a fuzzer says: what it tried, or what it found."""
    if error := re.search(r"Uncaught Python exception: ===\n(.*)", text):
        return f"FOUND {error[1]}"
    if done := re.search(r"#(\d+)\s+DONE\s+cov: (\d+)", text):
        return f"{done[1]} executions, {done[2]} edges covered"
    return (text.strip().splitlines() or ["nothing"])[-1]


if __name__ == "__main__":
    main()
