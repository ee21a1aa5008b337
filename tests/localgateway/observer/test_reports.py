"""What the embedded AWS reports, line by line."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from localgateway.observer.observer import CONTENT, Observer
from localgateway.observer.reports import record_reports


async def each(lines: list[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


def published(message: str) -> bytes:
    return json.dumps({"what": "published", "fields": {"message": message, "at": 5}}).encode()


def recorded(*lines: bytes) -> list[dict[str, object]]:
    """Return the fields of the events that the lines leave."""
    observer = Observer()
    asyncio.run(record_reports(each([*lines]), observer))
    return [dict(getattr(entry.event, "fields", {})) for entry in observer.after(0, 100)]


@pytest.mark.parametrize("character", ["\ud55c", "\u00e9", "\U0001f600", "\ud800"])
def test_a_text_of_any_length_is_recorded(character: str) -> None:
    """It may be cut within a character, or have half of one; the next report is read too."""
    fields = recorded(published("a" + character * CONTENT), published("next"))

    assert [str(each["message"])[:1] for each in fields] == ["a", "n"]
    assert len(str(fields[0]["message"]).encode()) <= CONTENT + 2


@pytest.mark.parametrize(
    "odd",
    [
        b"a warning of moto\n",
        b"[]",
        b"{}",
        b"\xff" * 1000,
        b"[" * 5000,
        b'{"what": "x", "fields": "y"}',
    ],
)
def test_a_line_that_is_no_report_is_logged_and_left_out(
    odd: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fields = recorded(odd, published("next"))

    assert [each["message"] for each in fields] == ["next"]
    assert "left out a line of the embedded AWS: " in caplog.text
    assert max(len(record.getMessage()) for record in caplog.records) < 200
