"""Deliveries to connections whose tokens expire meanwhile, by a clock that each post moves on."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from bench.fanout.signatures import Received
from chalicelib import settings
from chalicelib.clock import Deadline
from chalicelib.services import delivery
from chalicelib.services.delivery import Delivery, DeliveryOutcome
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE, store_in_use
from tests.support.connections import tracked
from tests.support.connections_api import Answer, ConnectionsApi, api_in_use, connection_of

_api = pytest.fixture(api_in_use, name="api")


@dataclass
class Posts:
    """An API that takes a second for each post. Returns `statuses` in turn, then 200."""

    started_at: int = field(default_factory=lambda: int(time.time()))
    took_s: int = 0
    statuses: list[int] = field(default_factory=list)
    taken: list[tuple[int, str]] = field(default_factory=list)

    def now_ns(self) -> int:
        """Return the last moment of the present second."""
        return (self.started_at + self.took_s) * 1_000_000_000 + 999_999_999

    def behave(self, request: Received) -> Answer:
        self.taken.append((self.took_s, connection_of(request)))
        self.took_s += 1
        return Answer(self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
def posts(api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch) -> Posts:
    """Return the API, whose clock is everybody's. One post is in flight at a time."""
    posts = Posts()
    api.behave = posts.behave
    monkeypatch.setattr(delivery, "CONCURRENCY", 1)
    monkeypatch.setattr(time, "time_ns", posts.now_ns)
    return posts


@pytest.fixture
def deliver(
    dynamodb: DynamoDBClient, posts: Posts, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Counter[DeliveryOutcome]]:
    """Return a function that delivers to the connections whose tokens last for so many seconds."""
    store = store_in_use(dynamodb, monkeypatch)

    def deliver(*lifetimes: int | None, client_id: str | None = None) -> Counter[DeliveryOutcome]:
        for number, lifetime in enumerate(lifetimes):
            expires_at = None if lifetime is None else posts.started_at + lifetime
            store.put(
                tracked(f"{number}=", expires_at=expires_at, client_id=client_id or "unknown")
            )
        run = Delivery(
            b"{}",
            (client_id,) if client_id else None,
            store,
            settings.load(),
            Log({}),
            Deadline(time.monotonic() + 60),
        )
        assert run.run()
        assert len(dynamodb.scan(TableName=TABLE)["Items"]) == len(lifetimes)
        return run.outcomes

    return deliver


@pytest.mark.parametrize("client_id", [None, "ada"])
def test_nothing_is_posted_from_the_second_on_in_which_a_token_expires(
    deliver: Callable[..., Counter[DeliveryOutcome]], posts: Posts, client_id: str | None
) -> None:
    """The moment of each post counts, not the start of the delivery. The rows stay."""
    lifetimes = [*range(-2, 20), None, None]

    outcomes = deliver(*lifetimes, client_id=client_id)

    late = [name for at, name in posts.taken if at >= (lifetimes[int(name[:-1])] or 99)]
    assert late == []
    assert {"22=", "23="} <= {name for _, name in posts.taken}
    assert outcomes[DeliveryOutcome.DELIVERED] == len(posts.taken)
    assert outcomes[DeliveryOutcome.EXPIRED] == len(lifetimes) - len(posts.taken) >= 3


def test_a_post_is_not_tried_again_once_the_token_has_expired(
    deliver: Callable[..., Counter[DeliveryOutcome]], posts: Posts
) -> None:
    """It has failed, and was tried in each second before."""
    posts.statuses = [429] * 8

    outcomes = deliver(3)

    assert [at for at, _ in posts.taken] == [0, 1, 2]
    assert outcomes == {DeliveryOutcome.FAILED: 1}


def test_a_throttled_post_is_tried_again_while_the_token_is_valid(
    deliver: Callable[..., Counter[DeliveryOutcome]], posts: Posts
) -> None:
    posts.statuses = [429, 503]

    assert deliver(4) == {DeliveryOutcome.DELIVERED: 1}
    assert len(posts.taken) == 3
