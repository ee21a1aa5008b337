"""Calls an AWS service with retries that heed a deadline.

The clients make one attempt (`aws_clients`), and the retries are here: botocore's own can
neither be stopped at a deadline nor tell whether a lost attempt may have been carried out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
)

from chalicelib.adapters.aws_clients import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ResponseParserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chalicelib.clock import Deadline

ATTEMPTS = 3
PAUSES_S = (0.05, 0.1)
# The longest time that one attempt takes.
ATTEMPT_S = CONNECT_TIMEOUT_S + READ_TIMEOUT_S
# Time kept for one more attempt after a call that ran to its deadline.
FOLLOWING_S = ATTEMPT_S + 0.25

# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
THROTTLING = frozenset(
    {
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
NOT_STARTED = "NotStarted"
# No request was sent, so the service cannot have carried anything out.
_UNSENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError)


class CallError(Exception):
    """The service did not confirm a call.

    `code` is the service's error code, the name of botocore's error, or `NotStarted`. `answered`
    says whether the last attempt had an answer.
    `uncertain` says whether an attempt whose answer was lost may have been carried out. `reasons`
    are the codes with which DynamoDB has cancelled a transaction, one for each of its items.
    """

    def __init__(
        self,
        code: str,
        cause: str,
        *,
        uncertain: bool,
        repeated: bool = False,
        answered: bool = False,
    ) -> None:
        super().__init__(code, cause)
        self.answered = answered
        self.code = code
        self.cause = cause
        self.uncertain = uncertain
        self.repeated = repeated
        self.item: Any = None
        self.reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.code}: {self.cause}"


@dataclass(frozen=True)
class Answer:
    """A service's answer. `repeated`: an earlier attempt may have been carried out, too."""

    body: Any
    repeated: bool


def call(
    method: Callable[..., Any],
    deadline: Deadline,
    *,
    retries: Deadline | None = None,
    **arguments: Any,
) -> Answer:
    """Call a client's method. Raises `CallError`.

    Transient failures are retried: throttling, 5xx, and attempts without an answer. No attempt
    starts unless its worst case, `ATTEMPT_S`, fits before `deadline`, or before `retries` for all
    but the first.
    """
    uncertain = False
    error = CallError(NOT_STARTED, "no time left", uncertain=False)
    for number in range(ATTEMPTS):
        if number:
            time.sleep(min(PAUSES_S[number - 1], max(0.0, deadline.left())))
        if not deadline.allows(ATTEMPT_S):
            break
        deadline = retries or deadline
        try:
            return Answer(method(**arguments), uncertain)
        except ClientError as refused:
            status = refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = refused.response["Error"]["Code"]
            if status < 500 and code not in THROTTLING:
                error = CallError(
                    code, str(refused), uncertain=False, repeated=uncertain, answered=True
                )
                error.item = refused.response.get("Item")
                cancelled: Any = refused.response.get("CancellationReasons", ())
                error.reasons = tuple(reason.get("Code", "None") for reason in cancelled)
                raise error from refused
            uncertain = uncertain or status >= 500
            error = CallError(code, str(refused), uncertain=uncertain, answered=True)
        except (BotoCoreError, ResponseParserError, UnicodeError) as lost:
            uncertain = uncertain or not isinstance(lost, _UNSENT)
            error = CallError(type(lost).__name__, str(lost), uncertain=uncertain)
    raise error
