"""In which order checks are made, when one is skipped, and what becomes of errors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from websockets.exceptions import ConnectionClosedError

from accept.aws import Aws
from accept.checking import check_all
from accept.errors import FailedError, SkippedError, UndecidedError
from accept.plan import CHECKS, Check
from accept.polling import until
from accept.results import Result, Status, good, report, summary
from accept.run import MAX_HANDSHAKES, Run
from accept.target import Target
from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accept.target import Kind


def run_of(kind: Kind = "chalice", seconds: float = 60) -> Run:
    """Return a run against a stage that is never called."""
    target = Target(kind, "dev", "ws://127.0.0.1:9/dev", "", {"connect": "c"}, "table", "", ROOT)
    return Run(target, Aws(boto3.Session(region_name="eu-west-1"), {}), seconds)


def made(*checks: Check, run: Run | None = None, **options: Any) -> Sequence[Result]:
    """Make the checks and return their results."""
    return asyncio.run(check_all(checks, run or run_of(), **options))


async def passing(_run: Run) -> str:
    """Pass."""
    return "seen"


def raising(error: Exception) -> Any:
    """Return a check that raises an error."""

    async def check(_run: Run) -> str:
        raise error

    return check


def denied(code: str) -> ClientError:
    """Return botocore's error for an answer with this code."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Operation")


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (FailedError("a", "b", "c"), Status.FAILED, "expected a; saw b; look at c"),
        (SkippedError("why"), Status.SKIPPED, "why"),
        (UndecidedError("why"), Status.UNKNOWN, "why"),
        (denied("AccessDeniedException"), Status.UNKNOWN, "AccessDeniedException"),
        (denied("ThrottlingException"), Status.FAILED, "ThrottlingException"),
        (NoCredentialsError(), Status.UNKNOWN, "credentials"),
        (KeyError("IndexStatus"), Status.UNKNOWN, "IndexStatus"),
        (ConnectionRefusedError(111, "refused"), Status.UNKNOWN, "refused"),
        (ConnectionClosedError(None, None), Status.UNKNOWN, "ConnectionClosedError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_becomes_a_result(error: Exception, status: Status, detail: str) -> None:
    """The checks after it are made."""
    first, second = made(Check("first", raising(error)), Check("second", passing))

    assert first.status is status
    assert detail in first.detail
    assert second.status is Status.PASSED


def test_a_check_is_skipped_unless_those_that_it_needs_have_passed() -> None:
    """So one fault fails one check."""
    first, second, third = made(
        Check("first", raising(FailedError("a", "b", "c"))),
        Check("second", passing, needs=("first",)),
        Check("third", passing, needs=("second",)),
    )

    assert first.status is Status.FAILED
    assert second.detail == "needs first, which has not passed"
    assert third.detail == "needs second, which has not passed"
    assert not good([first, second, third])


@pytest.mark.parametrize(
    ("check", "kind", "options", "detail"),
    [
        (Check("x", passing), "local", {"left_out": {"x"}}, "left out by --skip"),
        (Check("x", passing, aws_only=True), "local", {}, "needs AWS"),
        (Check("x", passing, aws_only=True), "stack", {}, "seen"),
        (Check("x", passing, option="--idle"), "stack", {}, "made only with --idle"),
        (Check("x", passing, option="--idle"), "stack", {"asked": {"--idle"}}, "seen"),
    ],
)
def test_some_checks_are_made_only_where_they_apply(
    check: Check, kind: Kind, options: dict[str, Any], detail: str
) -> None:
    """A skipped check is no failure."""
    [result] = made(check, run=run_of(kind), **options)

    assert detail in result.detail
    assert good([result])


def test_what_a_check_needs_is_made_before_it() -> None:
    """Each name stands once."""
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    for position, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:position])


def test_a_report_has_every_result() -> None:
    """It says what the run took, and whether all is well."""
    run = run_of()
    results = made(Check("first", passing), Check("second", raising(SkippedError("why"))), run=run)

    content = report(results, run, run.target)

    assert content["passed"] is True
    assert [check["status"] for check in content["checks"]] == ["passed", "skipped"]
    assert summary(results, run) == "1 passed, 1 skipped; 0 handshakes, 0 calls, 0 s"
    assert [result.line().split()[:2] for result in results] == [
        ["passed", "first"],
        ["skipped", "second"],
    ]


def test_a_run_makes_no_more_handshakes_than_allowed() -> None:
    """The rest is unknown."""
    run = run_of()
    run.handshakes = MAX_HANDSHAKES

    with pytest.raises(UndecidedError, match=f"{MAX_HANDSHAKES} handshakes"):
        asyncio.run(run.attempt("client"))


def test_a_run_that_is_out_of_time_makes_no_check_that_waits() -> None:
    """The rest is unknown."""
    with pytest.raises(UndecidedError, match="out of time"):
        run_of(seconds=0).left(10)


def test_a_server_that_is_not_there_fails_the_handshake() -> None:
    """The result has the address."""
    with pytest.raises(FailedError) as failed:
        asyncio.run(run_of().open("client"))
    assert failed.value.look == "ws://127.0.0.1:9/dev"


def test_a_wait_ends_with_the_last_look() -> None:
    """It says whether what was waited for has come."""
    seen = iter([1, 2])

    async def look() -> int:
        return next(seen)

    assert asyncio.run(until(look, lambda number: number == 2, 5)) == (2, True)
    assert asyncio.run(until(lambda: asyncio.sleep(0, 3), lambda _: False, 0)) == (3, False)
