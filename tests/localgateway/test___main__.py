"""The command line, as a user runs it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from localgateway import __main__
from tests.localgateway.support import PATIENCE, Recorder, Told

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command on a free port, and give its process and what it says when it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "localgateway", "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said = ""
            while "Ctrl-C stops it." not in said:
                line = process.stdout.readline()
                assert line, f"it ended after {said!r}"
                said += line
            yield process, said
        finally:
            process.kill()


def url(said: str) -> str:
    """Find the address for clients."""
    match = re.search(r"ws://\S+", said)
    assert match
    return match[0]


def hears(told: Told) -> bool:
    """Select what the function of a topic tells."""
    return told.kind == "news"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly(
    sample: Path, recorder: Recorder, number: signal.Signals
) -> None:
    """Clients see 1001, functions every end, and the shell an exit status of 0."""
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


def test_a_gateway_that_is_killed_leaves_no_process(sample: Path, recorder: Recorder) -> None:
    """Every process ends with it, even one with a function that hangs."""
    with command("--project", str(sample)) as (process, said), connect(url(said)) as client:
        client.send('{"do": "hang", "by": "a gateway to be killed"}')
        [told] = recorder.wait(
            lambda told: told.kind == "message" and "to be killed" in told.content["body"]
        )
        family = psutil.Process(process.pid).children(recursive=True)

        process.kill()
        process.wait(PATIENCE)

        _, alive = psutil.wait_procs(family, PATIENCE)
    assert told.pid in {each.pid for each in family}
    assert not alive


def test_the_commands_that_it_says_can_be_run(sample: Path, recorder: Recorder) -> None:
    """The Python one-liners read the table and publish, and the client command connects."""
    with command("--project", str(sample)) as (_, said):
        [scan] = re.findall(r"python\S* (-c .*scan.*)", said)
        [client] = re.findall(r"python\S* (-m websockets .*)", said)
        publish, _ = re.findall(r"python\S* (-c .*publish.*)", said)
        known = len(recorder.all(hears))
        environ = {**os.environ, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

        scanned = subprocess.run(
            [sys.executable, *shlex.split(scan)],
            env=environ,
            capture_output=True,
            check=True,
            text=True,
            timeout=PATIENCE,
        )
        subprocess.run(
            [sys.executable, *shlex.split(publish)], env=environ, check=True, timeout=PATIENCE
        )
        news = recorder.wait(hears, known + 1)[known]
        connected = subprocess.run(
            [sys.executable, *shlex.split(client)],
            input="hello\n",
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE,
        )

    assert scanned.stdout == "[]\n"
    assert news.content["Records"][0]["Sns"]["Message"] == "Hello"
    assert "Connected to ws://127.0.0.1" in connected.stdout


def test_the_commands_of_awss_command_line_name_what_is_there(sample: Path) -> None:
    """A topic is published to by its ARN, a function that has no route is invoked by its name."""
    with command("--project", str(sample)) as (_, said):
        topics = re.findall(r"aws sns publish --topic-arn (\S+) .* --region (\S+)", said)
        functions = re.findall(r"aws lambda invoke --function-name (\S+) .*http://(\S+)", said)

        address = re.sub("^ws://|/live$", "", url(said))

    assert topics == [
        ("arn:aws:sns:us-east-1:123456789012:News", "us-east-1"),
        ("arn:aws:sns:eu-west-1:123456789012:Elsewhere", "eu-west-1"),
    ]
    names = ("hear", "nightly", "overhear", "tick", "work")
    assert functions == [(f"sample-dev-{name}", address) for name in names]


def test_a_port_that_is_taken_is_an_error_without_a_traceback(sample: Path) -> None:
    """The message says what is wrong, and the exit status that something is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        result = CliRunner().invoke(__main__.main, ["--project", str(sample), "--port", port])

    assert result.exit_code == 1
    assert f"Error: cannot listen on 127.0.0.1 port {port}" in result.output


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
            "act on the embedded DynamoDB",
        ),
        (
            ["--dynamodb-endpoint", "http://x", "--dynamodb-fail", "0.5"],
            "leave them out with --dynamodb-endpoint",
        ),
    ],
)
def test_an_option_out_of_range_is_refused(arguments: list[str], said: str) -> None:
    """The message names the value seen and what is accepted."""
    result = CliRunner().invoke(__main__.main, arguments)

    assert result.exit_code == 2
    assert said in result.output


def test_the_documented_options_are_those_of_the_command_line() -> None:
    """docs/local-gateway.md names every option, with its default, and no other."""
    text = (ROOT / "docs" / "local-gateway.md").read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| `(--[a-z-]+)` \| (.*?) \|", text, flags=re.MULTILINE))
    options = {option.opts[0]: option.default for option in __main__.main.params}

    assert documented.keys() == options.keys()
    for name, default in options.items():
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert default is None or documented[name] == f"`{shown}`"
