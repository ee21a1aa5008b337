"""One thing at a time is broken, and exactly the check of that thing fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.support.acceptance import accept
from tests.support.gateway import serving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.proof


@dataclass(frozen=True)
class Sabotage:
    """What is broken in a copy of the project, or by an option of the gateway.

    In `app.py`, `old` is replaced by `new`, and `code` is added at the end. `fails` is the check
    that has to fail, and `seen` a part of what it says; `also` is one that may fail
    with it.
    """

    name: str
    fails: str
    seen: str
    also: str | None = None
    old: str = ""
    new: str = ""
    code: str = ""
    options: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


SABOTAGES = (
    Sabotage(
        name="dropped disconnects",
        fails="disconnect",
        seen="expected no row",
        options=("--drop-disconnects=1",),
    ),
    Sabotage(
        name="a DynamoDB that fails",
        fails="handshake",
        seen="HTTP 500",
        options=("--dynamodb-fail=1",),
    ),
    Sabotage(
        name="a missing route",
        fails="ping",
        seen="Forbidden",
        old="@app.on_ws_message()\n",
        new="",
    ),
    Sabotage(
        name="the wrong topic",
        fails="notify-some",
        also="recover",
        seen="when calling the Publish operation",
        old="topic=settings.notifications_topic()",
        new='topic="Another"',
    ),
    Sabotage(
        name="rows that do not expire",
        fails="ttl",
        seen="ttl 0",
        code=(
            "import dataclasses; from chalicelib.domain import connection as rows; "
            "opened = rows.opened; "
            "rows.opened = lambda *given: dataclasses.replace(opened(*given), ttl=0)\n"
        ),
    ),
    Sabotage(
        name="notifications that are not recorded",
        fails="recover",
        seen="[] after",
        code=(
            "from chalicelib.services.recording import Recording; "
            "Recording._append = lambda self, _: None\n"
        ),
        settings={"RECOVER_OWN": "always"},
    ),
    Sabotage(
        name="a kick that does nothing",
        fails="kick",
        seen="close code None",
        old="    return handler.close(event, context)",
        new='    return {"connections": {event["connectionId"]: "closed"}}',
    ),
    Sabotage(
        name="a close without a goodbye",
        fails="kick",
        seen="no goodbye",
        code="from chalicelib.services import closing; closing.is_announced = lambda _: False\n",
    ),
    Sabotage(
        name="a foreign origin that is accepted",
        fails="refused-origin",
        seen="an open connection",
        code=(
            "from chalicelib.domain import admission; admission._origin_allowed = lambda *_: True\n"
        ),
        settings={"ALLOWED_ORIGINS": "https://dashboard.example.com"},
    ),
    Sabotage(
        name="a limit that is not enforced",
        fails="limit",
        seen="it is open",
        code=(
            "from chalicelib.services import limits; limits.enforce_on_connect = lambda *_: None\n"
        ),
        settings={"MAX_CONNECTIONS_PER_CLIENT": "2"},
    ),
    Sabotage(
        name="a sweep without dry runs",
        fails="sweep-dry-run",
        seen="False",
        old="    return handler.sweep(event.to_dict(), event.context)",
        new="    return handler.sweep({}, event.context)",
    ),
)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda sabotage: sabotage.name)
def test_exactly_the_named_check_fails(sabotage: Sabotage, tmp_path: Path) -> None:
    """The others pass, or are skipped because they need it."""

    def break_it(project: Path) -> None:
        path = project / "app.py"
        text = path.read_text()
        assert sabotage.old in text
        changed = text.replace(sabotage.old, sabotage.new) if sabotage.old else text
        path.write_text(changed + sabotage.code)

    with serving(
        tmp_path / "project", *sabotage.options, settings=sabotage.settings, change=break_it
    ) as gateway:
        accepted = accept(f"--local={gateway.lambda_endpoint}")

    failed = accepted.having("failed")
    assert {sabotage.fails} <= failed.keys() <= {sabotage.fails, sabotage.also}
    assert sabotage.seen in failed[sabotage.fails]
    assert accepted.status == 1
