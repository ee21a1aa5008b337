"""Makes the checks one after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from websockets.exceptions import WebSocketException

from accept.aws import verdict
from accept.errors import CheckError, SkippedError, UndecidedError
from accept.results import Result, Status, not_passed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from accept.plan import Check
    from accept.run import Run


async def check_all(
    checks: Sequence[Check],
    run: Run,
    *,
    asked: Collection[str] = (),
    left_out: Collection[str] = (),
    show: Callable[[Result], object] = lambda _result: None,
) -> list[Result]:
    """Make the checks, call `show` with each result, and close this run's clients.

    `asked` are the options given; `left_out` are names of checks to skip.
    """
    results: dict[str, Result] = {}
    try:
        for check in checks:
            began = time.monotonic()
            try:
                _applies(check, run, results, asked, left_out)
                detail = await check.make(run)
                result = Result(check.name, Status.PASSED, detail, time.monotonic() - began)
            except CheckError as error:
                result = not_passed(check.name, error, time.monotonic() - began)
            except (BotoCoreError, ClientError) as error:
                result = not_passed(check.name, verdict(error), time.monotonic() - began)
            except (OSError, WebSocketException) as error:
                unheard = UndecidedError(f"no answer: {error!r}")
                result = not_passed(check.name, unheard, time.monotonic() - began)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                unread = UndecidedError(f"an answer could not be read: {error!r}")
                result = not_passed(check.name, unread, time.monotonic() - began)
            results[check.name] = result
            show(result)
    finally:
        await run.close()
    return list(results.values())


def _applies(
    check: Check,
    run: Run,
    results: dict[str, Result],
    asked: Collection[str],
    left_out: Collection[str],
) -> None:
    if check.name in left_out:
        raise SkippedError("left out by --skip")
    if check.aws_only and run.target.kind == "local":
        raise SkippedError("needs AWS; the local gateway does not have it")
    if check.option is not None and check.option not in asked:
        raise SkippedError(f"made only with {check.option}")
    for name in check.needs:
        if results[name].status is not Status.PASSED:
            raise SkippedError(f"needs {name}, which has not passed")
