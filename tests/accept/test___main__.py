"""The command line of `accept`, as far as it needs no stage."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from accept.__main__ import main
from accept.plan import CHECKS

if TYPE_CHECKING:
    from pathlib import Path


def test_the_plan_lists_every_check_and_makes_none() -> None:
    """Nothing has to be running or deployed."""
    result = CliRunner().invoke(main, ["--plan"])

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == [c.name for c in CHECKS]
    assert all(len(line.split()) > 2 for line in result.output.splitlines())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "one of --local, --stage and --stack"),
        (["--stage=dev", "--stack=x"], "one of --local, --stage and --stack"),
        (["--stage=dev", "--skip=nothing"], "no such check: nothing"),
    ],
)
def test_a_wrong_command_says_what_is_expected(arguments: list[str], problem: str) -> None:
    """No check is made."""
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 2
    assert problem in result.output


def test_a_token_without_a_subject_is_an_error() -> None:
    """The token itself is not shown."""
    result = CliRunner().invoke(main, ["--stage=dev", "--token=secret"])

    assert result.exit_code == 1
    assert "--token is not a JSON web token" in result.output
    assert "secret" not in result.output


def test_a_stage_that_is_not_deployed_is_an_error(tmp_path: Path) -> None:
    """The message names the file that Chalice would have written."""
    result = CliRunner().invoke(main, ["--stage=dev", f"--project={tmp_path}"])

    assert result.exit_code == 1
    assert "dev.json" in result.output
    assert "deploy it first" in result.output


def test_a_gateway_that_does_not_run_is_an_error() -> None:
    """The message says how to start one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"

    result = CliRunner().invoke(main, [f"--local={address}"])

    assert result.exit_code == 1
    assert "make run" in result.output
