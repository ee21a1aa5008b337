"""Snapshots of a project: what Chalice would deploy, as it was at one moment.

Functions run from a snapshot, so that a cold start never mixes two versions of the sources.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

# https://aws.github.io/chalice/topics/packaging.html
DEPLOYED = ("app.py", "chalicelib", "vendor")
CONFIGURATION = ".chalice"
# Chalice writes these in its folder.
_WRITTEN = shutil.ignore_patterns("deployed", "deployments", "venv")


def take(project: Path, parent: Path) -> Path:
    """Copy the sources and configuration of a project to a new folder in `parent`.

    Compiled modules come along: times and sizes stay the same, so Python uses them. Links that lead
    nowhere, such as the locks of an editor, are left out.
    """
    folder = Path(tempfile.mkdtemp(prefix="version-", dir=parent))
    for name in DEPLOYED:
        source = project / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore_dangling_symlinks=True)
        elif source.exists():
            shutil.copy2(source, folder / name)
    if (project / CONFIGURATION).is_dir():
        shutil.copytree(
            project / CONFIGURATION,
            folder / CONFIGURATION,
            ignore=_WRITTEN,
            ignore_dangling_symlinks=True,
        )
    return folder


def fingerprint(folder: Path) -> str:
    """Return a hash of the names and contents of all files except compiled modules."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
