"""Copies of what Chalice deploys."""

from pathlib import Path

from localgateway.lambda_runtime.snapshots import take


def test_links_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    """Emacs makes one beside each file that is not saved yet."""
    project, parent = tmp_path / "project", tmp_path / "parent"
    for folder in (project / "chalicelib", project / ".chalice", parent):
        folder.mkdir(parents=True)
    for place in ("chalicelib", ".chalice"):
        (project / place / "file").write_text("kept")
        (project / place / ".#file").symlink_to("ada@machine.1234:5678")

    folder = take(project, parent)

    copied = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert copied == [".chalice", ".chalice/file", "chalicelib", "chalicelib/file"]
