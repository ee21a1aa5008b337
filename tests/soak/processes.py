"""Samples of the machine's CPU, and of the memory, files and threads of every process."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from tests.soak.invariants import Series
from tests.soak.slopes import FEWEST, WARM_UP
from tests.storm.storm import environments

FULL = 0.95  # of the CPU: with no time to spare, things are late that would not be


@dataclass
class _Samples:
    name: str
    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)
    threads: list[float] = field(default_factory=list)


class Sampler:
    """Samples processes; those that end soon are forgotten.

    `busy` has the time (epoch s) and the share of the machine's CPU that was in use since the
    sample before.
    """

    def __init__(self) -> None:
        self.busy: list[tuple[float, float]] = []
        self._begun = time.time()
        self._samples: dict[psutil.Process, _Samples] = {}
        psutil.cpu_percent()  # the first call has nothing to compare with

    def sample(self, gateway: int, others: Mapping[str, int]) -> None:
        """Sample the gateway, its children and other processes, given by pid."""
        self.busy.append((time.time(), psutil.cpu_percent() / 100))
        named = {pid: name for name, pid in others.items()} | {gateway: "gateway"}
        try:
            functions = {child.pid: name for child, name in environments(gateway).items()}
            children = psutil.Process(gateway).children(recursive=True)
        except psutil.Error:
            functions, children = {}, []
        for child in children:
            named.setdefault(child.pid, functions.get(child.pid, "child"))
        living = {self._sample(pid, name) for pid, name in named.items()}
        for process in self._samples.keys() - living:
            if len(self._samples[process].times) * (1 - WARM_UP) < FEWEST:
                del self._samples[process]

    def full(self) -> list[tuple[float, float]]:
        """Return the times between which the CPU had nothing left, so that any answer is late."""
        times = [self._begun, *(time for time, _ in self.busy)]
        spans = zip(times, self.busy, strict=False)
        return [(start, end) for start, (end, share) in spans if share >= FULL]

    def series(self) -> list[Series]:
        """Return what was sampled."""
        return [
            Series(
                f"{each.name} ({process.pid})",
                each.times,
                {"memory": each.memory, "files": each.files, "threads": each.threads},
            )
            for process, each in self._samples.items()
        ]

    def _sample(self, pid: int, name: str) -> psutil.Process | None:
        """Sample a process, and return it: another one may have its pid later."""
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                memory = float(process.memory_info().rss)
                files, threads = process.num_fds(), process.num_threads()
        except psutil.Error:
            return None
        samples = self._samples.setdefault(process, _Samples(name))
        samples.name = name
        samples.times.append(time.time())
        samples.memory.append(memory)
        samples.files.append(files)
        samples.threads.append(threads)
        return process
