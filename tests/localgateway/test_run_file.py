"""The file of a run."""

import dataclasses
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from localgateway.errors import RunError
from localgateway.run_file import find, folder, written
from tests.localgateway.support import Gateway
from tests.localgateway.test_startup import ROOT, RUN

ALIVE = dataclasses.replace(RUN, pid=os.getpid())


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_only_its_owner_can_read_it_and_it_is_removed_at_the_end() -> None:
    """It holds the credentials."""
    with written(ALIVE) as path:
        assert find(None) == find(8765) == ALIVE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    assert not list(folder().iterdir())


def test_what_a_killed_gateway_leaves_counts_for_nothing_and_is_removed() -> None:
    """The next gateway removes it."""
    path = killed()
    assert path.exists()
    with pytest.raises(RunError, match="no gateway runs; start one with `python -m localgateway`"):
        find(None)

    other = dataclasses.replace(ALIVE, port=9000)
    with written(other):
        assert find(None) == other
        assert [file.name for file in folder().iterdir()] == ["9000.json"]


def test_a_process_with_the_id_of_a_killed_gateway_is_not_taken_for_it() -> None:
    """The killed gateway's file is not locked any more."""
    (folder() / "8765.json").write_text(json.dumps(dataclasses.asdict(ALIVE)))

    with pytest.raises(RunError, match="no gateway runs"):
        find(None)


@pytest.mark.usefixtures("_foreign")
def test_snapshots_of_a_killed_gateway_are_removed_if_another_user_has_its_process_id() -> None:
    """After a start of the machine, low ids are those of the system's services."""
    left = folder() / "sources-1-left"
    left.mkdir()

    with written(ALIVE):
        assert not left.exists()


@pytest.fixture
def _foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer for process 1 as the system does to a user who is not root."""
    kill = os.kill

    def refuse(pid: int, number: int) -> None:
        if pid == 1:
            raise PermissionError(1, "Operation not permitted")
        kill(pid, number)

    monkeypatch.setattr("os.kill", refuse)


def killed() -> Path:
    """Let a process write the file and the snapshots of a run, kill it, and return the file."""
    script = f"""
import json, os, tempfile, time
tempfile.tempdir = {tempfile.tempdir!r}
from localgateway.run_file import Run, snapshots, written
run = json.loads({json.dumps(json.dumps(dataclasses.asdict(RUN)))})
with snapshots(), written(Run(**run | {{"pid": os.getpid()}})):
    print("written", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert find(None).pid == process.pid
        process.kill()
    return folder() / "8765.json"


def test_one_of_several_is_found_by_its_port() -> None:
    """Without a port, the message lists the ports."""
    other = dataclasses.replace(ALIVE, port=9000)

    with written(ALIVE), written(other):
        assert find(9000) == other
        with pytest.raises(RunError, match=r"several gateways run; .*--port \(8765, 9000\)"):
            find(None)
        with pytest.raises(RunError, match=r"no gateway runs on port 1; .*: 8765, 9000"):
            find(1)


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_folder_that_others_may_have_made_is_refused(tmp_path: Path, kind: str) -> None:
    """Another user could read the credentials, or put a gateway of their own there."""
    path = tmp_path / f"localgateway-{os.getuid()}"
    if kind == "open to others":
        path.mkdir()
        path.chmod(0o755)
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.touch()

    with pytest.raises(RunError, match="remove it"):
        folder()
    assert kind != "a link" or not list((tmp_path / "elsewhere").iterdir())


def test_a_file_of_another_version_counts_for_nothing() -> None:
    """Its fields are others."""
    (folder() / "8765.json").write_text('{"pid": 1}')

    with pytest.raises(RunError, match="no gateway runs"):
        find(None)


def test_a_gateway_describes_itself(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names its functions, topics and tables, and the variables of AWS clients."""
    monkeypatch.undo()

    run = gateway.run

    assert run.pid == os.getpid()
    assert run.url == gateway.url
    assert run.functions["work"] == "sample-dev-work"
    assert run.tables == ["Things-dev"]
    assert run.topics[0].endswith(":News")
    assert run.variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{gateway.port}"
    assert run.variables["AWS_SECRET_ACCESS_KEY"] not in gateway.text
