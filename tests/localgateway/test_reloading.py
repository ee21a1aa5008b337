"""Changes of the sources while a gateway runs, seen from open sockets."""

import asyncio
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue

import pytest

from localgateway import reloading
from localgateway.errors import ProjectError
from localgateway.lambda_runtime.project import Project
from localgateway.options import Options
from tests.localgateway.support import PATIENCE, SIGNED, Gateway, Recorder, ask, running


class Watched:
    """A gateway that reloads a project, and its log about that."""

    def __init__(self, gateway: Gateway, project: Path, log: SimpleQueue[logging.LogRecord]):
        self.gateway = gateway
        self.project = project
        self.log = log

    def edit(self, old: str, new: str, file: str = "app.py") -> None:
        """Replace a text in a file as many editors do: write another and rename it."""
        path = self.project / file
        text = path.read_text()
        assert old in text
        written = path.with_name(f"{path.name}.new~")
        written.write_text(text.replace(old, new))
        written.replace(path)

    def said(self) -> str:
        """Wait for the next line of the log."""
        return self.log.get(timeout=PATIENCE).getMessage()

    def reloaded(self) -> None:
        """Wait until the next version has taken over."""
        while not (said := self.said()).startswith("reloaded in"):
            assert "not reloaded" not in said, said


@pytest.fixture
def watched(tmp_path: Path, sample: Path, recorder: Recorder) -> Iterator[Watched]:
    """Run a gateway with reload on a copy of the sample project."""
    project = tmp_path / "project"
    shutil.copytree(sample, project)
    config = project / ".chalice" / "config.json"
    config.write_text(config.read_text().replace('"lambda_timeout": 3,', '"lambda_timeout": 60,'))
    with _log() as log, running(project, recorder, reload=True) as gateway:
        yield Watched(gateway, project, log)


@contextmanager
def _log() -> Iterator[SimpleQueue[logging.LogRecord]]:
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    logger, handler = logging.getLogger(reloading.__name__), QueueHandler(records)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def test_a_saved_change_answers_the_next_event_of_an_open_socket(watched: Watched) -> None:
    """The connection stays open; the new version answers within a bounded time."""
    with watched.gateway.client() as client:
        client.send("x")
        before = client.recv(timeout=PATIENCE)
        started = time.monotonic()
        watched.edit('f"not JSON: {', 'f"new: {')
        watched.reloaded()
        client.send("x")
        after = client.recv(timeout=PATIENCE)
        took = time.monotonic() - started
        assert client.close_code is None

    assert (before, after) == ("not JSON: x", "new: x")
    assert took < PATIENCE


@pytest.mark.proof
def test_an_error_is_shown_once_in_full_and_the_old_version_serves_whole(watched: Watched) -> None:
    """Even a cold start runs the old version, and saving the same text again says nothing."""
    with watched.gateway.client() as client:
        watched.edit('f"not JSON: {', 'f"new: {')
        watched.reloaded()
        watched.edit("def serve(", "def serve((")
        said = watched.said()
        watched.edit("def serve((", "def serve((")
        client.send("x")
        cold = client.recv(timeout=PATIENCE)
        app = watched.project / "app.py"  # in one write: two would be reloaded one by one
        text = app.read_text().replace("def serve((", "def serve(")
        written = app.with_name("app.py.new~")
        written.write_text(text.replace('f"new: {', 'f"newer: {'))
        written.replace(app)
        again = watched.said()
        client.send("x")
        repaired = client.recv(timeout=PATIENCE)

    assert said.startswith("not reloaded, the previous version goes on serving: ")
    assert f'File "{watched.project}/app.py"' in said
    assert "SyntaxError" in said
    assert cold == "new: x"
    assert again.startswith("reloaded in")
    assert repaired == "newer: x"


@pytest.mark.proof
def test_events_that_run_end_in_the_version_in_which_they_began(watched: Watched) -> None:
    """New events do not wait for them."""
    with watched.gateway.opened() as (client, connection_id):
        client.send(json.dumps({"do": "hold"}))
        [held] = watched.gateway.recorder.wait(
            lambda told: told.kind == "held" and told.content == connection_id
        )
        watched.edit("return str(os.getpid())", "return 'the new version'")
        watched.reloaded()
        new = ask(client, do="echo", text="new")
        held.release()
        old = client.recv(timeout=PATIENCE)

    assert (new, old) == ("new", str(held.pid))


@pytest.mark.proof
def test_routes_functions_schedules_topics_and_tables_are_taken_in(watched: Watched) -> None:
    """A restart is announced where it is needed."""
    watched.edit(
        "@app.schedule(Cron(",
        '''@app.on_sns_message(topic="Fresh")
def fresh(event: Any) -> None:
    """Report."""
    tell("fresh", event.to_dict())


@app.lambda_function(name="added")
def added(event: Any, context: Any) -> Any:
    """Return a text."""
    return "added"


@app.schedule(Cron(''',
    )
    watched.reloaded()
    answer = watched.gateway.functions().invoke(FunctionName="sample-dev-added")
    arn = watched.gateway.run.topics[0].replace(":News", ":Fresh")
    watched.gateway.sns().publish(TopicArn=arn, Message="hello")

    assert json.loads(answer["Payload"].read()) == "added"
    watched.gateway.recorder.wait(lambda told: told.kind == "fresh")

    resources = ".chalice/resources.json"
    table = json.loads((watched.project / resources).read_text())
    table["Resources"]["More"] = json.loads(
        json.dumps(table["Resources"]["Things"]).replace("Things-", "More-")
    )
    (watched.project / resources).write_text(json.dumps(table))
    said = watched.said()
    watched.reloaded()

    assert "missing tables and topics exist now; restart" in said
    assert "More-dev" in watched.gateway.dynamodb().list_tables()["TableNames"]

    watched.edit(
        '"api_gateway_stage": "live"', '"api_gateway_stage": "other"', ".chalice/config.json"
    )

    assert "api_gateway_stage is now 'other'; restart" in watched.said()


@pytest.mark.proof
def test_a_folder_that_was_made_anew_is_watched_as_before(watched: Watched) -> None:
    """Installing packages into vendor/ or another branch in git makes folders anew."""
    folder, made = watched.project / "chalicelib", watched.project / "made"

    for version in ("first", "second"):
        made.mkdir()
        (made / "__init__.py").write_text(f"# the {version}\n")
        made.rename(folder)
        watched.reloaded()
        (folder / "__init__.py").write_text(f"# the {version}, changed\n")
        watched.reloaded()
        shutil.rmtree(folder)
        watched.reloaded()


@pytest.mark.proof
def test_a_change_that_was_saved_during_the_start_is_taken_over(
    tmp_path: Path, sample: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start takes seconds after it has read the sources."""
    project = tmp_path / "project"
    shutil.copytree(sample, project)
    first = reloading.Reloader.first

    async def saved_after(self: reloading.Reloader) -> Project:
        read = await first(self)
        app = project / "app.py"
        app.write_text(app.read_text().replace('f"not JSON: {', 'f"new: {'))
        return read

    monkeypatch.setattr(reloading.Reloader, "first", saved_after)
    with _log() as log, running(project, recorder, reload=True) as gateway:
        Watched(gateway, project, log).reloaded()
        with gateway.client() as client:
            client.send("x")
            assert client.recv(timeout=PATIENCE) == "new: x"


@pytest.mark.proof
def test_changes_are_taken_over_after_one_that_no_one_can_read(watched: Watched) -> None:
    """An editor may write another encoding than UTF-8."""
    resources = watched.project / ".chalice" / "resources.json"
    text = resources.read_bytes()

    resources.write_bytes(text.replace(b"{", b'{"Description": "\xff",', 1))
    said = watched.said()
    resources.write_bytes(text)
    again = watched.said()

    assert said.startswith("not reloaded, the previous version goes on serving: ")
    assert again.startswith("reloaded in")  # nothing has changed since the version that serves


@pytest.mark.proof
def test_an_invocation_that_arrives_during_a_reload_runs_in_the_new_version(
    watched: Watched,
) -> None:
    """The function that its first bytes name is retired by the time of its last."""
    address = ("127.0.0.1", watched.gateway.port)
    head = (
        "POST /2015-03-31/functions/sample-dev-work/invocations HTTP/1.1",
        f"Host: {address[0]}",
        f"Authorization: {SIGNED.format(service='lambda')}",
        "Content-Length: 2",
        "Connection: close",
    )
    with socket.create_connection(address, PATIENCE) as raw:
        raw.sendall("\r\n".join([*head, "", "{"]).encode())
        watched.edit('return {"given": event}', 'return {"new": event}')
        watched.reloaded()
        raw.sendall(b"}")
        answer = b"".join(iter(lambda: raw.recv(4096), b""))

    assert answer.endswith(b'{"new": {}}')


@pytest.mark.proof
def test_a_folder_that_cannot_be_watched_is_said(
    tmp_path: Path, sample: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system bounds how many files its users may watch."""

    def full(*_: object, **__: object) -> None:
        raise OSError("OS file watch limit reached")

    monkeypatch.setattr(reloading, "awatch", full)
    with _log() as log, running(sample, recorder, reload=True) as gateway:
        said = Watched(gateway, tmp_path, log).said()

    assert said == f"changes in {sample} are not noticed: OS file watch limit reached"


@pytest.mark.proof
def test_sources_that_cannot_be_copied_prevent_the_start(tmp_path: Path) -> None:
    """The message says which; a file of another user, in a container for example."""
    project, folder = tmp_path / "project", tmp_path / "folder"
    (project / "vendor").mkdir(parents=True)
    folder.mkdir()
    os.mkfifo(project / "vendor" / "pipe")

    with pytest.raises(ProjectError, match=r"cannot serve .*project: .*vendor/pipe"):
        asyncio.run(reloading.Reloader(Options(project), folder, {}).first())
