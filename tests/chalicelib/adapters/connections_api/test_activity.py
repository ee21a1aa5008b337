import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.connections_api.activity import last_active_ms

AT_MS = 1_731_324_924_561


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2024-11-11T11:35:24.561Z", AT_MS),
        ("2024-11-11T11:35:24Z", AT_MS - 561),
        ("2024-11-11T12:35:24.561+01:00", AT_MS),
        ("2024-11-11T11:35:24.561", AT_MS),
        ("yesterday", None),
        ("", None),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
        (AT_MS, None),
        (None, None),
    ],
)
def test_the_time_is_read_as_aws_writes_it(text: object, at_ms: int | None) -> None:
    assert last_active_ms(json.dumps({"lastActiveAt": text})) == at_ms


@pytest.mark.parametrize("body", ["", "no", "[]", "null", "1", "{}", '{"lastActiveAt": {}}'])
def test_an_answer_without_a_time_says_nothing(body: str) -> None:
    assert last_active_ms(body) is None


@given(st.text() | st.datetimes().map(lambda at: json.dumps({"lastActiveAt": at.isoformat()})))
def test_no_answer_raises(body: str) -> None:
    assert isinstance(last_active_ms(body), int | None)
