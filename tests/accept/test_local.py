"""The checks against a running local gateway, as `make accept` makes them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from accept.aws import MAX_CALLS
from accept.checks import idling
from accept.plan import CHECKS
from accept.run import AGENT, MAX_HANDSHAKES, Run
from accept.targets import local_gateway
from tests.conftest import ROOT, TABLE
from tests.support.acceptance import accept
from tests.support.gateway import serving
from tests.support.issuer import AUDIENCE, issuing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from tests.support.acceptance import Accepted
    from tests.support.gateway import Gateway
    from tests.support.issuer import Issuer

PING = '{"action": "ping"}'
PATIENCE_S = 60
OLD_MS = 30_000


def local(gateway: Gateway) -> str:
    """Return the option that names the gateway."""
    return f"--local={gateway.lambda_endpoint}"


@pytest.fixture
def foreigner(gateway: Gateway) -> Iterator[ClientConnection]:
    """Connect a client that no run may disturb."""
    with connect(f"{gateway.url}?clientId=foreigner") as client:
        yield client


@pytest.fixture
def accepted(gateway: Gateway, foreigner: ClientConnection) -> Accepted:
    """Run the checks, with the one that would notify everybody, while the foreigner is there."""
    foreigner.send(PING)
    assert json.loads(foreigner.recv(PATIENCE_S))["type"] == "pong"
    return accept(local(gateway), "--notify-all")


def test_every_check_passes_without_disturbing_others(
    accepted: Accepted, foreigner: ClientConnection, gateway: Gateway
) -> None:
    """Skipped is what needs AWS, or would disturb others, or does not apply."""
    assert accepted.having("failed") == accepted.having("unknown") == {}
    assert accepted.status == 0
    aws_only = {check.name for check in CHECKS if check.aws_only}
    assert accepted.having("skipped").keys() == {*aws_only, "refused-token", "notify-all"}
    assert "1 others are connected" in accepted.having("skipped")["notify-all"]
    assert accepted.report["handshakes"] <= MAX_HANDSHAKES
    assert accepted.report["calls"] <= MAX_CALLS
    assert accepted.report["seconds"] < 60

    foreigner.send(PING)
    assert json.loads(foreigner.recv(PATIENCE_S))["type"] == "pong"
    assert len(gateway.rows() - {"#sweep"}) == 1


@pytest.mark.proof
def test_everybody_is_notified_if_nobody_else_is_there(gateway: Gateway) -> None:
    """The check runs on request only."""
    accepted = accept(local(gateway), "--notify-all")

    assert "clients" in accepted.having("passed")["notify-all"]


def item(connection_id: str, agent: str) -> dict[str, Any]:
    """Return a row that a client left behind half a minute ago."""
    created_at = time.time_ns() // 1_000_000 - OLD_MS
    return {
        "connectionId": {"S": connection_id},
        "createdAt": {"N": str(created_at)},
        "ttl": {"N": str(created_at // 1000 + 3600)},
        "clientId": {"S": "unknown"},
        "userAgent": {"S": agent},
    }


@pytest.mark.proof
def test_rows_of_killed_runs_are_removed_and_no_others(gateway: Gateway) -> None:
    """A row whose connection is gone is removed only if a run made it."""
    for connection_id, agent in (("left=", f"{AGENT}accept-0 first"), ("other=", "browser")):
        gateway.dynamodb().put_item(TableName=TABLE, Item=item(connection_id, agent))

    accepted = accept(local(gateway))

    assert accepted.having("passed")["leftovers"] == "removed 1 rows of earlier runs"
    assert gateway.rows() - {"#sweep"} == {"other="}
    gateway.dynamodb().delete_item(TableName=TABLE, Key={"connectionId": {"S": "other="}})


@pytest.mark.proof
def test_a_killed_run_is_cleaned_up_by_the_next(gateway: Gateway) -> None:
    """Its clients are gone with it, and the next run leaves an empty table."""
    command = [sys.executable, "-u", "-m", "accept", local(gateway)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        next(line for line in killed.stdout if " ping " in line)
        os.kill(killed.pid, signal.SIGKILL)

    accepted = accept(local(gateway))

    assert accepted.status == 0
    assert gateway.rows() <= {"#sweep"}


@pytest.mark.proof
def test_without_json_each_check_has_a_line(gateway: Gateway) -> None:
    """The last line counts the checks, and says what the run took."""
    command = [sys.executable, "-m", "accept", local(gateway), "--skip=large-message"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    *lines, last = shown.splitlines()
    assert [line.split()[1] for line in lines] == [check.name for check in CHECKS]
    assert "left out by --skip" in shown
    assert " passed, " in last
    assert " handshakes, " in last


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Issuer]]:
    """Run a gateway that requires tokens of an issuer."""
    with issuing() as issuer:
        settings = {"AUTH_ISSUER": issuer.url, "AUTH_AUDIENCE": AUDIENCE}
        with serving(tmp_path_factory.mktemp("guarded") / "p", settings=settings) as gateway:
            yield gateway, issuer


@pytest.mark.proof
def test_with_a_token_the_checks_are_those_of_its_subject(
    guarded: tuple[Gateway, Issuer],
) -> None:
    """Checks that could reach the subject's other connections are skipped."""
    gateway, issuer = guarded

    accepted = accept(local(gateway), f"--token={issuer.token()}")

    assert accepted.having("failed") == accepted.having("unknown") == {}
    made = {"metadata", "index", "refused-token", "renewal", "kick"}
    assert accepted.having("passed").keys() >= made
    for name in ("refused-client", "notify-some", "limit"):
        assert name in accepted.having("skipped")


@pytest.mark.proof
def test_without_a_token_only_its_refusal_is_checked(guarded: tuple[Gateway, Issuer]) -> None:
    """The result says how to pass one."""
    accepted = accept(local(guarded[0]))

    assert accepted.having("passed").keys() == {"leftovers", "refused-token"}
    assert "--token" in accepted.having("skipped")["handshake"]
    assert accepted.status == 0


@pytest.mark.proof
def test_an_idle_client_is_notified(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """On AWS the check takes 20 minutes; here, as many pings in a second."""
    monkeypatch.setattr(idling, "MINUTES", 1 / 60)
    monkeypatch.setattr(idling, "PING_EVERY_S", 0.2)
    target, aws = local_gateway.find(gateway.lambda_endpoint)

    async def check() -> str:
        run = Run(target, aws, PATIENCE_S)
        try:
            return await idling.idle(run)
        finally:
            await run.close()

    assert asyncio.run(check()).startswith("notified after")
