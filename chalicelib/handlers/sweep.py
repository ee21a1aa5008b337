"""The function `sweep`: removes the rows of connections that ended without a `$disconnect`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chalicelib import settings
from chalicelib.domain.errors import RegistryError
from chalicelib.domain.liveness import DEAD, Verdict
from chalicelib.services.probing import Prober
from chalicelib.services.table_pass import TablePass
from chalicelib.store import open_store
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.store import Position

# Time kept for the events, the position and the last log line.
RESERVE_S = 6.0
# Time kept before that to remove what the last probes found dead.
REMOVAL_S = 3.0


def sweep(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Handle an invocation of `sweep`, by its schedule or by hand, and return the report.

    `{"dryRun": true}` logs and counts what would be removed and closed, and changes nothing. A
    failure is logged and raised, so that the error metric of the function shows it.
    """
    log = invocation_log(context)
    try:
        config = settings.load()
        set_level(config.log_level)
        now_ms = time.time_ns() // 1_000_000
        seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_S
        deadline = time.monotonic() + seconds
        run = TablePass(
            store=open_store(config.connections_table),
            config=config,
            log=log,
            prober=Prober(config.management_endpoint, now_ms, deadline - REMOVAL_S),
            deadline=deadline,
            dry_run=event.get("dryRun") is True,
        )
        position = run.run()
        values, report = report_of(run, position, time.time_ns() // 1_000_000)
        log.info("swept", **report, **({} if run.dry_run else metrics.fields(config.stage, values)))
        return report
    except RegistryError as error:
        log.error("sweep failed", error=str(error), errorType=type(error).__name__)
        raise


def report_of(
    run: TablePass, position: Position, now_ms: int
) -> tuple[dict[Metric, float], dict[str, Any]]:
    """Return the metrics and the report of a run that ended at `now_ms` (epoch ms)."""
    tally = run.tally
    seen_ms = position.since_ms if run.finished else position.previous_ms or position.since_ms
    lag_s = (now_ms - seen_ms) / 1000
    values: dict[Metric, float] = {
        Metric.ORPHANS_REMOVED: tally.removed.total(),
        Metric.MISSED_DISCONNECT_SHARE: 100 * tally.missed_share,
        Metric.SWEEP_LAG: lag_s,
    }
    if run.finished:
        values[Metric.LIVE_CONNECTIONS] = position.live
    return values, {
        "finished": run.finished,
        "dryRun": run.dry_run,
        "live": position.live,
        "probed": run.prober.probed,
        "removed": {verdict.value: tally.removed[verdict] for verdict in DEAD},
        "skipped": tally.verdicts[Verdict.UNPROVEN] + tally.malformed,
        "replaced": tally.replaced,
        "missedDisconnectShare": tally.missed_share,
        "lagSeconds": lag_s,
    }
