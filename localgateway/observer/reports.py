"""What the embedded AWS reports: publications and expired rows, one JSON object a line."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from localgateway.observer.events import Reported
from localgateway.observer.observer import content_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from localgateway.observer.observer import Observer

_log = logging.getLogger(__name__)


async def record_reports(lines: AsyncIterator[bytes], observer: Observer) -> None:
    """Record each line as an event until they end.

    A line that is no report is logged and left out: if nobody read on, the embedded AWS would wait
    for its output, and everybody for the embedded AWS.
    """
    async for line in lines:
        try:
            observer.record(_reported(line))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # Without the line: it may be long, or tell a credential.
            reason = f"{type(error).__name__}: {error}"
            _log.warning("left out a line of the embedded AWS: %s", reason)


def _reported(line: bytes) -> Reported:
    report = json.loads(line)
    fields = {
        name: content_text(value) if isinstance(value, str) else value
        for name, value in report["fields"].items()
    }
    return Reported(str(report["what"]), fields)
