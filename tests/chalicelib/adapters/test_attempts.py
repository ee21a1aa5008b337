"""Retries that heed a deadline, against clients that fail as a test says."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.adapters import attempts
from chalicelib.adapters.attempts import ATTEMPT_S, ATTEMPTS, CallError, call
from chalicelib.clock import Deadline
from tests.support.connections import NO_DEADLINE

LOST = ReadTimeoutError(endpoint_url="http://x")
UNSENT = EndpointConnectionError(endpoint_url="http://x")


def refused(code: str, status: int) -> ClientError:
    metadata: Any = {"HTTPStatusCode": status}
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": metadata}, "PutItem"
    )


THROTTLED = refused("ThrottlingException", 400)
BROKEN = refused("InternalServerError", 500)
DENIED = refused("AccessDeniedException", 400)


def method(*results: Any) -> Callable[..., Any]:
    """Return a client's method that raises or returns each of `results` in turn."""
    remaining: Iterator[Any] = iter(results)

    def answer(**_: object) -> Any:
        result = next(remaining)
        if isinstance(result, Exception):
            raise result
        return result

    return answer


@pytest.mark.parametrize(
    ("results", "repeated"),
    [
        (["done"], False),
        ([THROTTLED, "done"], False),
        ([UNSENT, "done"], False),
        ([LOST, "done"], True),
        ([BROKEN, THROTTLED, "done"], True),
    ],
)
def test_an_answer_says_whether_an_earlier_attempt_may_have_been_carried_out(
    results: list[Any], repeated: bool
) -> None:
    answer = call(method(*results), NO_DEADLINE)

    assert (answer.body, answer.repeated) == ("done", repeated)


@pytest.mark.parametrize(
    ("results", "code", "uncertain", "repeated"),
    [
        ([DENIED], "AccessDeniedException", False, False),
        ([LOST, DENIED], "AccessDeniedException", False, True),
        ([THROTTLED] * ATTEMPTS, "ThrottlingException", False, False),
        ([BROKEN] * ATTEMPTS, "InternalServerError", True, False),
        ([UNSENT] * ATTEMPTS, "EndpointConnectionError", False, False),
        ([LOST, UNSENT, UNSENT], "EndpointConnectionError", True, False),
    ],
)
def test_an_error_says_whether_the_call_may_have_been_carried_out(
    results: list[Any], code: str, uncertain: bool, repeated: bool
) -> None:
    with pytest.raises(CallError) as caught:
        call(method(*results), NO_DEADLINE)

    error = caught.value
    assert (error.code, error.uncertain, error.repeated) == (code, uncertain, repeated)


def test_no_attempt_starts_without_time_for_its_worst_case() -> None:
    with pytest.raises(CallError) as caught:
        call(method(), Deadline(time.monotonic() + ATTEMPT_S - 0.1))

    assert (caught.value.code, caught.value.uncertain) == ("NotStarted", False)


def test_a_retry_needs_time_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSES_S", (0.0, 0.0))

    with pytest.raises(CallError) as caught:
        call(method(LOST), NO_DEADLINE, retries=Deadline(0.0))

    assert caught.value.code == "ReadTimeoutError"
