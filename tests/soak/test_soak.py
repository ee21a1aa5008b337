"""Two minutes of the soak."""

from pathlib import Path

import pytest

from tests.soak.plan import CLIENT_LIMIT, Plan, change
from tests.soak.report import text_of
from tests.soak.soak import soak

pytestmark = pytest.mark.proof
PLAN = Plan(seconds=120, seed=1, clients=60)
SHORT = Plan(
    seconds=50, seed=1, clients=60, faults=frozenset({"cuts", "disconnects"}), patience_s=20
)
# The module, a text in it, the text of a broken application, and the breach that it makes.
BUGS = (
    (
        "domain/liveness.py",
        "return Verdict.YOUNG if is_young else Verdict.GONE",
        "return Verdict.YOUNG if is_young else Verdict.LIVE",
        "row left by the sweep",
    ),
    ("services/delivery.py", "self._gone.append(connection)", "pass", "row left by the sweep"),
    (
        "domain/liveness.py",
        "return Verdict.SILENT if is_silent else Verdict.LIVE",
        "return Verdict.GONE if time.time_ns() % 5 == 0 else Verdict.LIVE",
        "live connection without a row",
    ),
    (
        "services/endings.py",
        "    for ending in endings:",
        "    for ending in [*endings, *endings]:",
        "end told twice",
    ),
    (
        "services/delivery.py",
        "elif connection.is_expired(now_ms()):\n"
        "                self.outcomes[DeliveryOutcome.EXPIRED] += 1",
        "elif connection.connection_id < 'H':\n                continue",
        "notification lost",
    ),
    (
        "services/recovery.py",
        '",".join((*own.texts, *everybody.texts))',
        '",".join((*own.texts, *everybody.texts[1:]))',
        "promise to a library client",
    ),
)


def spoil(project: Path) -> None:
    """Break a copy of the application in many places."""
    for name, text, new, _ in BUGS:
        change(project, name, text, new)
    change(project, "domain/liveness.py", "from collections", "import time\nfrom collections")
    config = project / ".chalice" / "config.json"
    limit = f'"MAX_CONNECTIONS_PER_CLIENT": "{CLIENT_LIMIT}"'
    source = config.read_text()
    assert limit in source
    config.write_text(source.replace(limit, '"MAX_CONNECTIONS_PER_CLIENT": "100"'))


def test_every_promise_holds_while_everything_fails(tmp_path: Path) -> None:
    report = soak(PLAN, tmp_path)

    assert report.breaches == [], "\n".join(text_of(report))
    for fault in ("cuts", "kicks", "kills", "database", "reloads"):
        assert report.counts[fault] > 0, fault
    assert report.counts["restarts"] >= 2  # killed, and stopped
    assert report.counts["complete passes"] > 5
    assert report.counts["given to plain clients"] > 100
    assert report.counts["recovered by them"] > 100


def test_it_finds_what_a_broken_application_breaks(tmp_path: Path) -> None:
    report = soak(SHORT, tmp_path, spoil)

    kinds = {each.kind for each in report.breaches}
    assert {kind for *_, kind in BUGS} | {"limit not kept"} <= kinds, "\n".join(text_of(report))
