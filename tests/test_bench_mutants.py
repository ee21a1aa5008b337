"""Which changes `bench/mutants` makes to a module, and how it rates the tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.mutants.mutations import mutants_of

ROOT = Path(__file__).resolve().parent.parent
MODULE = """\
def countdown(start: int) -> int:
    while start > 0:
        start -= 1
    return start


def untested() -> None:
    print()
"""
TESTS = """\
import subprocess
import sys
import sample

def test_in_another_process():
    code = "import sys, sample; sys.exit(sample.countdown(2))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

def test_countdown():
    sample.countdown(2)
"""
SCRIPT = """\
import sys
import time
from pathlib import Path
from bench.mutants import running
from bench.mutants.mutations import mutants_of

running.LIMIT_S = 1.0
root = Path(sys.argv[1])
with running.workshop(root) as copy:
    baseline = copy.baseline(Path("sample.py"), [Path("test_sample.py")], time.monotonic() + 60)
    for mutant in mutants_of(root, Path("sample.py"), 100, 1)[0]:
        print(f"{mutant.line} {mutant.after} => {copy.outcome(mutant, baseline)}")
"""


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("x = a < b", {"x = None", "<= b"}),
        ("if a:\n    f()", {"if not (a): f()", "pass"}),
        ("def f(a):\n    return a", {"return None"}),
        ("x = [a for a in b if a]", {"x = None", "if not (a)"}),
        ('def f(a: "A" = 1): ...', {"2"}),
        ('x: Literal["a"]', set()),
        ("@cached(True)\ndef f(): ...", set()),
        ('"""Text."""\nimport os', set()),
        ("if TYPE_CHECKING:\n    x = 1", set()),
        ('return_type = cast("A", f(b))', {"return_type = None", "f(None)"}),
        ("return", set()),
    ],
)
def test_changes_what_takes_effect_when_the_module_runs(
    tmp_path: Path, source: str, changed: set[str]
) -> None:
    """Annotations, decorators, imports and docstrings stay as they are."""
    (tmp_path / "sample.py").write_text(f"{source}\n")

    mutants, _ = mutants_of(tmp_path, Path("sample.py"), 100, 1)

    assert {mutant.after for mutant in mutants} == changed


def test_takes_the_same_sample_for_the_same_seed(tmp_path: Path) -> None:
    """Two runs with one seed can be compared, and another seed tries other mutants."""
    (tmp_path / "sample.py").write_text(MODULE)

    first, second, other = (mutants_of(tmp_path, Path("sample.py"), 3, n)[0] for n in (1, 1, 2))

    assert first == second
    assert len(first) == 3
    assert first != other


@pytest.mark.proof
def test_rates_each_mutant_by_the_tests_that_run_it(tmp_path: Path) -> None:
    """A test that starts another process notices a mutant, too; a mutant cannot run forever."""
    (tmp_path / "sample.py").write_text(MODULE)
    (tmp_path / "test_sample.py").write_text(TESTS)

    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=90)

    rated = dict(line.split(" => ") for line in done.stdout.splitlines())
    assert rated["4 return None"] == "survived"
    assert rated["2 >= 0"] == "killed"
    assert rated["3 start += 1"] == "timed out"
    assert rated["8 pass"] == "survived"
    assert (tmp_path / "sample.py").read_text() == MODULE
