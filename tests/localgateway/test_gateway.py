"""Start, composition and end of a gateway."""

import asyncio
import contextlib
import errno
import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer
from websockets.exceptions import ConnectionClosed

from localgateway.api_gateway import websocket_protocol
from localgateway.errors import AddressError, ChildError, ProjectError, ResourcesError
from localgateway.gateway import serve
from localgateway.options import Options
from tests.localgateway.support import PATIENCE, Gateway, Recorder, running, upgrade_request
from tests.localgateway.test_client import run
from tests.support.processes import children_running


def started(text: str, stop: Callable[[], None]) -> None:
    """Fail: the gateway must not start."""
    stop()
    pytest.fail(f"started: {text}")


def test_stopping_closes_with_1001_and_delivers_every_disconnect(
    sample: Path,
    recorder: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every `$disconnect` is delivered, no process is left, and the log has the number."""
    monkeypatch.setattr(websocket_protocol, "CLOSE_TIMEOUT", 0.5)
    before = set(psutil.Process().children(recursive=True))
    with contextlib.ExitStack() as clients, running(sample, recorder) as gateway:
        opened = [clients.enter_context(gateway.opened()) for _ in range(5)]
        raw = clients.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
        raw.sendall(upgrade_request("/live?hold=yes&by=stop"))
        [told] = recorder.wait(lambda told: told.query.get("by") == "stop")

        gateway.stop()
        for client, _ in opened:
            with contextlib.suppress(ConnectionClosed):
                client.recv(timeout=PATIENCE)
        told.release()

    assert {client.close_code for client, _ in opened} == {1001}
    for connection_id in [told.connection_id, *(connection_id for _, connection_id in opened)]:
        context = recorder.ended(connection_id)["requestContext"]
        assert context["disconnectStatusCode"] == 1001
        assert context["disconnectReason"] == "Going away"
    assert set(psutil.Process().children(recursive=True)) <= before
    assert "closing 5 connections; press Ctrl+C again to exit immediately" in caplog.messages
    assert "closed 5 connections" in caplog.messages


@pytest.mark.proof
def test_stopping_twice_does_not_wait(sample: Path, recorder: Recorder) -> None:
    """The second stop does not wait for a hung function."""
    with running(sample, recorder) as gateway:
        raw = socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE)
        raw.sendall(upgrade_request("/live?hold=yes&by=twice"))
        [told] = recorder.wait(lambda told: told.query.get("by") == "twice")

        gateway.stop()
        gateway.stop()

    with raw:
        assert raw.recv(1024) == b""
    assert not psutil.pid_exists(told.pid)


@pytest.mark.proof
def test_another_dynamodb_has_the_tables_and_serves_the_functions(
    start: Callable[..., Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables are created there with the shell's credentials and region, and functions use it.

    Faults are still changed with the credentials of the run.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    other = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    other.start()
    try:
        address = "http://{}:{}".format(*other.get_host_and_port())

        gateway = start(dynamodb_endpoint=address, region="eu-central-1")
        with gateway.client() as connection:
            connection.send(json.dumps({"do": "environment"}))
            variables = json.loads(connection.recv(timeout=PATIENCE))
        tables = boto3.client(
            "dynamodb", endpoint_url=address, region_name="eu-central-1"
        ).list_tables()
        faults = run(gateway, "faults", "drop-posts=1")
    finally:
        other.stop()

    assert "Things-dev" in tables["TableNames"]
    assert (faults.stderr, faults.stdout.splitlines()[1]) == ("", "drop-posts: 1")
    assert variables["AWS_ENDPOINT_URL_DYNAMODB"] == address
    assert variables["AWS_ACCESS_KEY_ID"] == "mine"
    assert variables["AWS_REGION"] == "eu-central-1"
    assert address in gateway.text


@pytest.mark.proof
def test_pretty_lines_have_short_names_of_functions(
    sample: Path, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line is written by the time the gateway has stopped."""
    with running(sample, recorder, log="pretty") as gateway, gateway.client() as client:
        client.send('{"do": "print"}')
        gateway.recorder.wait(
            lambda told: told.kind == "message" and "print" in told.content["body"]
        )

    assert "INFO    message      printed code=1\n" in capsys.readouterr().out


@pytest.mark.proof
def test_the_gateway_exits_when_the_embedded_aws_does(sample: Path, recorder: Recorder) -> None:
    """A gateway without its DynamoDB closes its connections and exits with an error."""
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(running(sample, recorder))
        [*_, engine] = children_running("localgateway.aws.engine")

        with gateway.opened() as (client, connection_id):
            engine.kill()
            for _ in client:
                """Nothing comes but the end."""

        assert client.close_code == 1001
        recorder.ended(connection_id)
        with pytest.raises(ChildError, match="embedded AWS exited with status -9"):
            stack.close()


def test_a_port_in_use_is_an_error(sample: Path) -> None:
    """The message has the port, the cause and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = Options(sample, port=taken.getsockname()[1])

        with pytest.raises(AddressError, match=r"already in use; .*--port \(0 picks a free one\)"):
            asyncio.run(serve(options, started))


def test_a_project_that_cannot_be_served_leaves_no_process(tmp_path: Path) -> None:
    """The embedded AWS, already started, is stopped again."""
    before = set(psutil.Process().children())

    with pytest.raises(ProjectError):
        asyncio.run(serve(Options(tmp_path, port=0), started))

    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "as a JSON template: Expecting property name"),
        (
            '{"Resources": {"Things": {"Type": "AWS::DynamoDB::Table", "Properties": {"KeySchema": '
            '[{"AttributeName": "id", "KeyType": "HASH"}], "AttributeDefinitions": []}}}}',
            "cannot create table Things: An error occurred (ValidationException)",
        ),
    ],
)
def test_resources_that_cannot_be_created_prevent_the_start(
    tmp_path: Path, sample: Path, text: str, said: str
) -> None:
    """An invalid file and a refused definition are errors of one line."""
    project = tmp_path / "project"
    shutil.copytree(sample, project)
    (project / ".chalice" / "resources.json").write_text(text)

    with pytest.raises(ResourcesError) as raised:
        asyncio.run(serve(Options(project, port=0), started))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_topic_that_cannot_be_created_prevents_the_start(
    tmp_path: Path, sample: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """SNS's own message says what is expected."""
    project = tmp_path / "project"
    shutil.copytree(sample, project)
    app = project / "app.py"
    app.write_text(app.read_text().replace('topic="News"', 'topic="Good News"'))

    with pytest.raises(ChildError, match="topics, queues and rules exited with status 1"):
        asyncio.run(serve(Options(project, port=0), started))
    assert "Topic names must be made up of" in capfd.readouterr().err


@pytest.mark.proof
def test_what_the_machine_lacks_is_logged(
    start: Callable[..., Gateway],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A limit of open files below `--max-connections`, and IPv6."""

    def listen(host: str, port: int) -> socket.socket:
        if host == "::1":
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return socket.create_server((host, port))

    monkeypatch.setattr("resource.getrlimit", lambda _: (900, 900))
    monkeypatch.setattr("localgateway.listener.listen", listen)

    gateway = start(host="0.0.0.0")  # noqa: S104 - that is what is tried

    assert "open-file limit is 900" in caplog.text
    assert "no IPv6 (Cannot assign requested address): localhost" in caplog.text
    assert gateway.url == f"ws://127.0.0.1:{gateway.port}/live"
