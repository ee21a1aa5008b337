"""The command line, as a user runs it."""

import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psutil
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from localgateway import __main__
from tests.localgateway.support import PATIENCE, Recorder, Told

ROOT = Path(__file__).resolve().parents[2]


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends by itself, and return what it printed."""
    return subprocess.run(
        [sys.executable, "-m", "localgateway", "--port=0", *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )


@contextmanager
def command(
    *arguments: str, stderr: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command on a free port; yield its process and its start-up text."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localgateway", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl+C" not in said:
                line = process.stdout.readline()
                assert line, f"it ended after {said!r}"
                said += line
            yield process, said
        finally:
            process.kill()


def read_until(terminal: int, text: str) -> str:
    """Read from a pseudo terminal until a text has arrived."""
    said = b""
    while text.encode() not in said:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, said
        said += os.read(terminal, 65536)
    return said.decode()


def url(said: str) -> str:
    """Return the URL for clients in a start-up text."""
    match = re.search(r"ws://\S+", said)
    assert match
    return match[0]


def hears(told: Told) -> bool:
    """Select the reports of a topic's function."""
    return told.kind == "news"


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(
    sample: Path, recorder: Recorder, number: signal.Signals
) -> None:
    """Clients see 1001, every `$disconnect` is delivered, and the exit status is 0."""
    with command("--project", str(sample)) as (process, said), connect(url(said)) as client:
        client.send("hello")
        assert client.recv(timeout=PATIENCE) == "not JSON: hello"
        known = len(recorder.all(lambda told: told.kind == "disconnect"))

        process.send_signal(number)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=PATIENCE)

        assert client.close_code == 1001
        recorder.wait(lambda told: told.kind == "disconnect", known + 1)
        assert process.wait(PATIENCE) == 0


@pytest.mark.proof
def test_nobody_waits_for_who_does_not_read_the_errors(sample: Path) -> None:
    """A terminal that is stopped by Ctrl+S, for example."""
    options = ("--project", str(sample), "--no-reload")
    with command(*options, stderr=subprocess.PIPE) as (process, said):
        assert process.stderr is not None
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        with connect(url(said)) as client:
            for _ in range(60):  # each is an error of the gateway's, too
                client.send('{"do": "raise"}')
                assert "Internal server error" in str(client.recv(timeout=PATIENCE))


@pytest.mark.proof
def test_a_gateway_that_is_killed_leaves_no_process(sample: Path, recorder: Recorder) -> None:
    """All its processes exit, even one with a hung function, and no command finds it."""
    with command("--project", str(sample)) as (process, said), connect(url(said)) as client:
        client.send('{"do": "hang", "by": "a gateway to be killed"}')
        [told] = recorder.wait(
            lambda told: told.kind == "message" and "to be killed" in told.content["body"]
        )
        family = psutil.Process(process.pid).children(recursive=True)

        process.kill()
        process.wait(PATIENCE)

        _, alive = psutil.wait_procs(family, PATIENCE)
    port = url(said).rpartition(":")[2].partition("/")[0]
    command_line = [sys.executable, "-m", "localgateway.client", "--port", port, "table"]
    asked = subprocess.run(
        command_line, cwd=ROOT, capture_output=True, check=False, text=True, timeout=PATIENCE
    )
    assert told.pid in {each.pid for each in family}
    assert not alive
    assert asked.returncode == 1
    assert f"no gateway runs on port {port}" in asked.stderr


@pytest.mark.proof
def test_each_printed_command_runs_as_it_stands(
    sample: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """In any folder, with an empty environment, so without credentials and the AWS command line."""
    with command("--project", str(sample)) as (_, said):
        commands = dict(re.findall(r"^  (connect|notify|table) +(.*)$", said, flags=re.MULTILINE))
        known = len(recorder.all(hears))

        def run(name: str) -> str:
            return subprocess.run(
                ["/bin/sh", "-c", commands[name]],
                env={},
                cwd=tmp_path,
                input="hello\n",
                capture_output=True,
                check=False,
                text=True,
                timeout=PATIENCE,
            ).stdout

        assert run("table") == "Things-dev is empty\n"
        assert run("notify").startswith("published ")
        news = recorder.wait(hears, known + 1)[known]
        assert news.content["Records"][0]["Sns"]["Message"] == "Hello"
        assert "Connected to ws://127.0.0.1" in run("connect")


@pytest.mark.proof
@pytest.mark.parametrize(
    ("arguments", "no_color", "pretty", "color"),
    [
        ([], "", True, True),
        ([], "1", True, False),
        (["--log", "json"], "", False, True),
    ],
)
def test_a_terminal_gets_short_lines_and_colors(
    sample: Path, arguments: list[str], no_color: str, pretty: bool, color: bool
) -> None:
    """`NO_COLOR` switches colors off; `--log json` shows the functions' lines as written."""
    terminal, gateways_side = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "localgateway", "--port=0", f"--project={sample}", *arguments],
        cwd=ROOT,
        stdout=gateways_side,
        stderr=gateways_side,
        env={**os.environ, "NO_COLOR": no_color},
    ) as process:
        os.close(gateways_side)
        try:
            said = read_until(terminal, "Ctrl+C")
            with connect(url(click.unstyle(said))) as client:
                client.send('{"do": "print"}')
                printed = read_until(terminal, "printed")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)
            os.close(terminal)

    assert ("\x1b[" in said) is color
    assert ('"message": "printed"' in printed) is not pretty
    if pretty:
        assert re.search(
            r"\d\d:\d\d:\d\d\.\d{3} INFO    message      printed", click.unstyle(printed)
        )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no .chalice/config.json; choose the folder of a Chalice project with --project"),
        ("{", "is not valid JSON: Expecting property name"),
    ],
)
def test_a_wrong_configuration_is_an_error_of_one_line(
    tmp_path: Path, config: str | None, said: str
) -> None:
    """It says what to do, without a traceback, and the exit status is 1."""
    if config is not None:
        (tmp_path / ".chalice").mkdir()
        (tmp_path / ".chalice" / "config.json").write_text(config)

    result = ended(f"--project={tmp_path}")

    assert result.returncode == 1
    assert result.stderr.startswith(f"Error: cannot serve {tmp_path}: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_address_of_another_machine_is_an_error_of_one_line(sample: Path) -> None:
    """203.0.113.0/24 is reserved for documentation (RFC 5737)."""
    arguments = ["--project", str(sample), "--port", "0", "--host", "203.0.113.1"]

    result = CliRunner().invoke(__main__.main, arguments)

    assert result.exit_code == 1
    assert result.output == (
        "Error: cannot listen on 203.0.113.1, port 0: Cannot assign requested address; "
        "choose another address with --host or --port\n"
    )


def test_a_port_in_use_is_an_error_of_one_line(sample: Path) -> None:
    """It says what to do, and the exit status is 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        result = CliRunner().invoke(__main__.main, ["--project", str(sample), "--port", port])

    assert result.exit_code == 1
    assert result.output == (
        f"Error: port {port} is already in use; choose another with --port (0 picks a free one)\n"
    )


@pytest.mark.parametrize("late", ["-1", "3601", "inf"])
def test_messages_cannot_be_later_than_a_timer_can_wait(late: str) -> None:
    result = ended(f"--shuffle-messages={late}")

    assert result.returncode == 2
    assert "is not in the range 0<=x<=3600" in result.stderr


def test_a_port_in_use_for_the_embedded_aws_is_an_error_of_one_line(sample: Path) -> None:
    """The process of the embedded AWS prints nothing itself."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        result = ended(f"--dynamodb-port={port}", f"--project={sample}")

    assert result.returncode == 1
    assert result.stderr == (
        f"Error: port {port} is already in use; "
        "choose another with --dynamodb-port (0 picks a free one)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["--drop-disconnects", "1.5"], "1.5 is not in the range 0<=x<=1"),
        (["--idle-timeout", "0"], "0.0 is not in the range x>0"),
        (["--environments", "0"], "0 is not in the range 1<=x<=100"),
        (["--project", "/nowhere"], "'/nowhere' does not exist"),
        (
            ["--dynamodb-endpoint", "http://x", "--dynamodb-lag", "5"],
            "apply to the embedded DynamoDB",
        ),
        (
            ["--dynamodb-endpoint", "http://x", "--dynamodb-fail", "0.5"],
            "remove them or --dynamodb-endpoint",
        ),
    ],
)
def test_an_option_out_of_range_is_refused(arguments: list[str], said: str) -> None:
    """The message has the value and what is expected."""
    result = CliRunner().invoke(__main__.main, arguments)

    assert result.exit_code == 2
    assert said in result.output


def test_the_documented_options_are_those_of_the_command_line() -> None:
    """docs/local-gateway.md lists every option with its default, and no other."""
    text = (ROOT / "docs" / "local-gateway.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(--[a-z-]+)` \| (.*?) \|", text, flags=re.MULTILINE))
    options = {option.opts[0]: option.default for option in __main__.main.params}
    del options["--version"]

    assert documented.keys() == options.keys()
    for name, default in options.items():
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert default in (None, ()) or documented[name] == f"`{shown}`"
