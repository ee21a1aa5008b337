"""A project of plain handlers."""

from pathlib import Path

import pytest

from tests.localgateway.lambda_runtime.handlers import HANDLERS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project folder with handlers."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("raise ValueError('broken at import')\n")
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(3)\n")
    return tmp_path
