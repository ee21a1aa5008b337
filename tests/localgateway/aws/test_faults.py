"""Faults of messages."""

import threading

import pytest

from localgateway.aws.faults import Faults
from tests.localgateway.support import PATIENCE


@pytest.mark.parametrize(("share", "number"), [(0.0, 1), (1.0, 2)])
def test_a_share_of_messages_is_delivered_twice(share: float, number: int) -> None:
    delivered: list[bool] = []

    Faults(repeat_messages=share).deliver(lambda: delivered.append(True))

    assert len(delivered) == number


def test_late_messages_arrive() -> None:
    """A delivery does not wait for them."""
    delivered, sender = threading.Event(), threading.current_thread()
    threads: list[threading.Thread] = []

    def deliver() -> None:
        threads.append(threading.current_thread())
        delivered.set()

    Faults(shuffle_messages=0.01).deliver(deliver)

    assert delivered.wait(PATIENCE)
    assert threads != [sender]
