"""Run tests in forks of this process, which has imported the large packages once.

A fork works in a copy of the project, so that also the processes which tests start see the mutant.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import botocore.session
import coverage
import hypothesis
import pytest

from bench.mutants.mutations import Mutant

FORKS = multiprocessing.get_context("fork")
LARGE_PACKAGES = (
    "boto3",
    "chalice.test",
    "cryptography.x509",
    "hypothesis.strategies",
    "jwt",
    "moto.core.botocore_stubber",
    "moto.dynamodb.models",
    "mypy_boto3_dynamodb",
)
NOT_COPIED = (".git", ".venv", "__pycache__", "build", "node_modules", ".*_cache", ".coverage*")
# A mutant may take this many times as long as its tests take with the code as it is, and a bit.
SLOWER = 4
LIMIT_S = 5.0
# A mutant that fills the memory fails.
MEMORY_BYTES = 4 * 2**30


class Result(StrEnum):
    """What the tests make of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    NO_TEST = "no test"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Baseline:
    """The tests of one module, with the code as it is.

    `seconds` are the times of the tests by their id, `startup_s` is the time before them.
    `tests_of_line` are the ids of the tests that execute each line, with "" for the import.
    `starting` are the tests that start a process, which may execute any line.
    """

    files: tuple[str, ...]
    seconds: dict[str, float]
    startup_s: float
    tests_of_line: dict[int, list[str]]
    starting: list[str]

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Return the ids of the tests that execute the changed statement, the quickest first."""
        executing = {test for line in mutant.lines for test in self.tests_of_line.get(line, [])}
        executing.update(self.starting)
        if not mutant.in_function or "" in executing:
            executing = set(self.seconds)
        return sorted(executing & self.seconds.keys(), key=lambda test: self.seconds[test])

    def limit_s(self, tests: Sequence[str]) -> float:
        """Return the time limit in s for a run of `tests`."""
        return LIMIT_S + SLOWER * (self.startup_s + sum(self.seconds[test] for test in tests))


class Recorder:
    """A pytest plugin that notes the time of each test and the lines that it executes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[str(path)])
        self._test = ""
        self.seconds: dict[str, float] = {}
        self.starting: set[str] = set()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.posix_spawn"):
            self.starting.add(self._test)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Attribute the lines executed from here to this test."""
        self._test = item.nodeid
        self._coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the times of setup, call and teardown."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Record until the end of the block."""
        self._coverage.start()
        yield
        self._coverage.stop()

    def tests_of_line(self) -> dict[int, list[str]]:
        """Return the tests that executed each line."""
        data = self._coverage.get_data()
        return data.contexts_by_lineno(str(self._path))


class Selection:
    """A pytest plugin that runs the chosen tests, and tests that the mutant has renamed."""

    def __init__(self, tests: Sequence[str], others: set[str]) -> None:
        self._order = {test: place for place, test in enumerate(tests)}
        self._others = others

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the chosen tests, in their order."""
        chosen = [item for item in items if item.nodeid not in self._others]
        items[:] = sorted(chosen, key=lambda item: self._order.get(item.nodeid, 0))


class Workshop:
    """A copy of the project in which mutants are tried."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def baseline(self, path: Path, files: Sequence[Path], deadline: float) -> Baseline:
        """Run the tests with the code as it is.

        Raises `RuntimeError` unless they pass before `deadline`, in s of `time.monotonic`.
        """
        names = tuple(map(str, files))
        found = self.root / "baseline.json"

        def measure() -> int:
            recorder = Recorder(self.root / path)
            start = time.monotonic()
            with recorder.recording():
                code = _pytest(names, recorder)
            startup_s = time.monotonic() - start - sum(recorder.seconds.values())
            lines = list(recorder.tests_of_line().items())
            record = (recorder.seconds, max(0.0, startup_s), lines, sorted(recorder.starting))
            found.write_text(json.dumps(record))
            return code

        code = _forked(measure, max(0.0, deadline - time.monotonic()))
        if code != 0:
            shown = (
                "were not done in time" if code is None else f"ended with pytest's status {code}"
            )
            message = f"the tests of {path} {shown}; expected them to pass"
            raise RuntimeError(message)
        seconds, startup_s, lines, starting = json.loads(found.read_text())
        return Baseline(names, seconds, startup_s, dict(lines), starting)

    def outcome(self, mutant: Mutant, baseline: Baseline) -> Result:
        """Run the tests that execute the mutant."""
        tests = baseline.tests_for(mutant)
        if not tests:
            return Result.NO_TEST
        selection = Selection(tests, baseline.seconds.keys() - set(tests))
        with self._changed(mutant):
            code = _forked(
                lambda: _pytest(baseline.files, selection), baseline.limit_s(tests), mutant=True
            )
        if code is None:
            return Result.TIMED_OUT
        return Result.SURVIVED if code == pytest.ExitCode.OK else Result.KILLED

    @contextlib.contextmanager
    def _changed(self, mutant: Mutant) -> Iterator[None]:
        path = self.root / mutant.path
        original = path.read_text("utf-8")
        # Python compares a compiled file by time and size: a mutant can have both in common
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()
        path.write_text(mutant.source, "utf-8")
        try:
            yield
        finally:
            path.write_text(original, "utf-8")


@contextlib.contextmanager
def workshop(root: Path) -> Iterator[Workshop]:
    """Copy the project at `root`, import what its tests need, and work in the copy."""
    _prepare_process()
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copy = Path(directory).resolve() / "project"
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
        own = ("", str(root))
        sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in own)]
        with contextlib.chdir(copy):
            yield Workshop(copy)


def _prepare_process() -> None:
    """Do here, once, what every fork would have to do before its first test."""
    for package in LARGE_PACKAGES:
        importlib.import_module(package)
    for plugin in importlib.metadata.entry_points(group="pytest11"):
        plugin.load()
    # a session of botocore reads its data files anew; here they share what has been read
    shared = functools.cache(botocore.session.create_loader)
    botocore.session.create_loader = shared
    botocore.session.Session().create_client("dynamodb", region_name="eu-west-1")


def _pytest(files: Sequence[str], plugin: object) -> int:
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    # the project's own options can ask for coverage or for several processes
    options += ["-o", "addopts=--import-mode=importlib"]
    return int(pytest.main([*options, *files], plugins=[plugin]))


def _forked(work: Callable[[], int], limit_s: float, *, mutant: bool = False) -> int | None:
    """Return the status of `work` in a fork, or None if it does not end within `limit_s`."""
    process = FORKS.Process(target=_child, args=(work, mutant))
    process.start()
    try:
        process.join(limit_s)
        return process.exitcode
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()


def _child(work: Callable[[], int], mutant: bool) -> Any:
    os.setsid()  # so that also the processes which tests leave behind can be ended
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    if mutant:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        code = work()
    except BaseException:  # noqa: BLE001 - the status is all that leaves the process
        code = int(pytest.ExitCode.INTERNAL_ERROR)
    os._exit(code)
