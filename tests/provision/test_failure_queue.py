"""Reading the failure queue, with SQS's visibility timeout on a virtual clock."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from provision.failure_queue import EMPTY_RECEIVES, HIDDEN_S, FailureQueue
from provision.redrive import Outcome, Places, redrive

if TYPE_CHECKING:
    from collections.abc import Mapping

MALFORMED = "something else"
EVENT = json.dumps({"Records": [{"Sns": {"MessageId": "n", "Subject": "Database down"}}]})
PLACES = Places(failed="failed", unclaimed="unclaimed", notify="notify")


class Sqs:
    """A queue of which each call takes `call_s`. Messages are named by their number."""

    def __init__(self, *bodies: str, call_s: float = 0.0) -> None:
        self.now, self.call_s = 0.0, call_s
        self.bodies = {str(number): body for number, body in enumerate(bodies)}
        self.visible_at = dict.fromkeys(self.bodies, 0.0)
        self.receives = 0

    def visible(self) -> list[str]:
        return [name for name in self.bodies if self.visible_at[name] <= self.now]

    def receive_message(self, **call: Any) -> dict[str, Any]:
        self.now += self.call_s
        self.receives += 1
        for name in self.visible()[:1]:
            self.visible_at[name] = self.now + call["VisibilityTimeout"]
            return {"Messages": [self._message(name)]}
        return {}

    def delete_message(self, **call: Any) -> None:
        self.now += self.call_s
        self.bodies.pop(call["ReceiptHandle"].split()[0], None)

    def change_message_visibility_batch(self, **call: Any) -> dict[str, Any]:
        assert 1 <= len(call["Entries"]) <= 10
        failed = []
        for entry in call["Entries"]:
            name = entry["ReceiptHandle"].split()[0]
            if entry["ReceiptHandle"] == self._handle(name):
                self.visible_at[name] = self.now + entry["VisibilityTimeout"]
            else:
                failed.append({"Id": entry["Id"]})
        return {"Failed": failed} if failed else {}

    def get_queue_attributes(self, **call: Any) -> dict[str, Any]:
        [name] = call["AttributeNames"]
        return {"Attributes": {name: str(len(self.bodies) - len(self.visible()))}}

    def _message(self, name: str) -> dict[str, Any]:
        attributes = {"SentTimestamp": "0"}
        body, handle = self.bodies[name], self._handle(name)
        return {
            "MessageId": name, "Body": body, "ReceiptHandle": handle, "Attributes": attributes
        }  # fmt: skip

    def _handle(self, name: str) -> str:
        """Return the newest handle: each receive gives out another one."""
        return f"{name} {self.visible_at[name]}"


class Lambda:
    """Accepts every invocation."""

    def invoke(self, **call: Any) -> None:
        """Accept an event."""


def names(messages: list[Mapping[str, Any]]) -> list[str]:
    return [message["MessageId"] for message in messages]


def test_a_run_of_hours_sends_all_though_malformed_messages_return() -> None:
    sqs = Sqs(MALFORMED, *[EVENT] * 1000, MALFORMED, call_s=4)

    outcome = redrive(sqs, Lambda(), PLACES, dry_run=False)

    assert sqs.now > 2 * HIDDEN_S
    assert outcome == Outcome(sent=1000, left=2, hidden=0)
    assert sqs.visible() == ["0", "1001"]


def test_a_dry_run_of_many_minutes_lists_each_message_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sqs = Sqs(*[EVENT] * 1000, call_s=1)

    outcome = redrive(sqs, Lambda(), PLACES, dry_run=True)

    assert sqs.now > 900
    assert outcome == Outcome(sent=0, left=1000, hidden=0)
    assert len(capsys.readouterr().out.splitlines()) == 1000
    assert len(sqs.visible()) == 1000


def test_an_empty_queue_ends_a_run_after_some_receives() -> None:
    sqs = Sqs()

    assert list(FailureQueue(sqs, "failed").messages()) == []
    assert sqs.receives == EMPTY_RECEIVES


def test_a_message_that_is_never_hidden_ends_a_run() -> None:
    sqs = Sqs(MALFORMED, call_s=HIDDEN_S)

    assert names(list(islice(FailureQueue(sqs, "failed").messages(), 5))) == ["0"]


def test_a_message_that_returns_after_it_was_deleted_is_deleted_again() -> None:
    """As SQS does if one of its servers was away. It is not sent a second time."""
    sqs = Sqs(EVENT, EVENT)
    queue = FailureQueue(sqs, "failed")
    given = []
    for message in queue.messages():
        given.append(message)
        queue.delete(message)
        if len(given) == 1:
            sqs.bodies["0"], sqs.visible_at["0"] = EVENT, 0.0

    assert names(given) == ["0", "1"]
    assert (sqs.bodies, queue.left) == ({}, 0)


@pytest.mark.parametrize("answers", [True, False])
def test_what_could_not_be_shown_again_is_told(
    answers: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(**call: Any) -> dict[str, Any]:
        if not answers:
            raise ConnectTimeoutError(endpoint_url="https://sqs")
        return {"Failed": [{"Id": entry["Id"]} for entry in call["Entries"]]}

    sqs = Sqs(*[MALFORMED] * 12)
    monkeypatch.setattr(sqs, "change_message_visibility_batch", change)

    outcome = redrive(sqs, Lambda(), PLACES, dry_run=False)

    assert outcome.left == 12
    assert capsys.readouterr().out.splitlines()[-1] == "12 may stay hidden for up to 60 minutes"
