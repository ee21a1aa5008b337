"""Change the code in small ways and count the changes that its tests notice.

`python -m bench.mutants chalicelib/store.py chalicelib/domain` changes these modules, one place at
a time, and runs the tests of the changed module. The tests of `chalicelib/store.py` are
`tests/chalicelib/test_store.py` and `tests/chalicelib/test_store_*.py`. An argument can list other
test files: `chalicelib/errors.py=tests/chalicelib/test_events.py,tests/test_app.py`.

A mutant survives if every test passes. Some survivors behave like the original; each of the others
shows a missing test. The text of f-strings is not changed.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench.mutants.mutations import Mutant, mutants_of
from bench.mutants.running import Baseline, Result, Workshop, workshop

ROOT = Path(__file__).resolve().parents[2]
PROGRESS_EVERY = 50


@dataclass(frozen=True)
class Subject:
    """A module, its tests, the mutants to try and how many there are in all."""

    path: Path
    baseline: Baseline | None
    mutants: Sequence[Mutant]
    available: int


def modules(arguments: Sequence[str]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield each module with its test files, relative to the project."""
    for argument in arguments:
        name, _, tests = argument.partition("=")
        path = ROOT / name
        if not path.exists():
            message = f"{name} is neither a module nor a folder of the project"
            raise click.BadParameter(message)
        for module in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if module.name == "__init__.py":
                continue
            relative = module.relative_to(ROOT)
            files = [Path(test) for test in tests.split(",")] if tests else own_tests(relative)
            yield relative, files


def own_tests(module: Path) -> list[Path]:
    """Return the test files that are named after a module."""
    folder = ROOT / "tests" / module.parent
    found = [*folder.glob(f"test_{module.stem}.py"), *folder.glob(f"test_{module.stem}_*.py")]
    return sorted(path.relative_to(ROOT) for path in found)


def prepare(
    copy: Workshop, arguments: Sequence[str], at_most: int, seed: int, deadline: float
) -> list[Subject]:
    """Find the mutants of each module, and run its tests once without any."""
    subjects = []
    for path, files in modules(arguments):
        mutants, available = mutants_of(ROOT, path, at_most, seed)
        baseline = copy.baseline(path, files, deadline) if files else None
        subjects.append(Subject(path, baseline, mutants, available))
    return subjects


def try_all(
    copy: Workshop, subjects: Sequence[Subject], seed: int, deadline: float
) -> dict[Mutant, Result]:
    """Run every mutant until the deadline, in random order, so that each module has its share."""
    pairs = [(mutant, subject) for subject in subjects for mutant in subject.mutants]
    random.Random(seed).shuffle(pairs)  # noqa: S311 - by seed
    results = {}
    for done, (mutant, subject) in enumerate(pairs):
        if done % PROGRESS_EVERY == 0:
            click.echo(f"{done} of {len(pairs)} mutants", err=True)
        if subject.baseline is None:
            results[mutant] = Result.NO_TEST
        elif time.monotonic() >= deadline:
            results[mutant] = Result.NOT_RUN
        else:
            results[mutant] = copy.outcome(mutant, subject.baseline)
    return results


def report(subjects: Sequence[Subject], results: dict[Mutant, Result]) -> None:
    """Print the numbers of each module, then the mutants that no test has noticed."""
    columns = list(Result)
    width = max(len(str(subject.path)) for subject in subjects)
    click.echo(f"{'':{width}} {'all':>6} {'tried':>6} " + " ".join(f"{c:>9}" for c in columns))
    total: Counter[str] = Counter()
    for subject in subjects:
        counts = Counter(str(results[mutant]) for mutant in subject.mutants)
        counts.update(all=subject.available, tried=len(subject.mutants))
        total += counts
        click.echo(line(str(subject.path), width, counts))
    click.echo(line("total", width, total))
    noticed = total[Result.KILLED] + total[Result.TIMED_OUT]
    ran = total["tried"] - total[Result.NOT_RUN]
    if ran:
        click.echo(f"\nThe tests noticed {noticed} of {ran} mutants, {noticed / ran:.1%}.")
    for result in (Result.SURVIVED, Result.NO_TEST):
        click.echo(f"\n{result}:")
        for mutant in sorted(results, key=lambda mutant: (mutant.path, mutant.line)):
            if results[mutant] is result:
                click.echo(f"  {mutant}")


def line(name: str, width: int, counts: Counter[str]) -> str:
    """Return one line of the table."""
    numbers = " ".join(f"{counts[column]:9}" for column in Result)
    return f"{name:{width}} {counts['all']:6} {counts['tried']:6} {numbers}"


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--each", default=30, show_default=True, help="Mutants of one module, at most.")
@click.option("--seed", default=1, show_default=True, help="Choose another sample.")
@click.option("--minutes", default=30.0, show_default=True, help="Start no mutant after this time.")
def main(paths: tuple[str, ...], each: int, seed: int, minutes: float) -> None:
    """Try mutants of the modules in PATHS on the modules' own tests."""
    deadline = time.monotonic() + minutes * 60
    with workshop(ROOT) as copy:
        try:
            subjects = prepare(copy, paths, each, seed, deadline)
        except RuntimeError as error:
            sys.exit(f"error: {error}")
        results = try_all(copy, subjects, seed, deadline)
    report(subjects, results)


if __name__ == "__main__":
    main()
