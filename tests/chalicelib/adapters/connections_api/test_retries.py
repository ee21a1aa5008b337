import pytest

from chalicelib.adapters.connections_api.calls import Reply
from chalicelib.adapters.connections_api.retries import backoff


@pytest.mark.parametrize(
    ("reply", "retried"),
    [
        (Reply(200, "", 0.1), False),
        (Reply(403, "", 0.1), False),
        (Reply(410, "", 0.1), False),
        (Reply(413, "", 0.1), False),
        (Reply(429, "", 0.1), True),
        (Reply(500, "", 0.1), True),
        (Reply(503, "", 0.1), True),
        (Reply(None, "connection refused", 0.1, sent=False), True),
        (Reply(None, "no answer", 3.0), False),  # the client may have the message
    ],
)
def test_only_transient_failures_are_retried(reply: Reply, *, retried: bool) -> None:
    assert (backoff(reply, 1) is not None) is retried


def test_delays_double_up_to_5_s_with_full_jitter_and_end_after_8_attempts() -> None:
    bounds: list[tuple[float, float]] = []

    def longest(least: float, most: float) -> float:
        bounds.append((least, most))
        return most

    delays = [backoff(Reply(429, "", 0.1), attempts, longest) for attempts in range(1, 9)]

    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, None]
    assert {least for least, _ in bounds} == {0}
