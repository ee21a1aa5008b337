"""Child processes by the modules that they run."""

import psutil


def children_running(module: str, parent: int | None = None) -> list[psutil.Process]:
    """Return the children of this process or of another one that run a module, oldest first."""
    found = [each for each in psutil.Process(parent).children() if _runs(each, module)]
    return sorted(found, key=lambda each: each.create_time())


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:  # it has ended
        return False
