"""The function `sweep`: removes the rows of connections that ended without a `$disconnect`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib import settings
from chalicelib.clock import Deadline, now_ms
from chalicelib.domain.answers import failed, invalid_request
from chalicelib.domain.errors import RegistryError, SweepActiveError
from chalicelib.domain.liveness import Verdict
from chalicelib.services.probing import Prober
from chalicelib.services.table_pass import ANNOUNCE_S, TablePass
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from chalicelib.telemetry import metrics
from chalicelib.telemetry.logs import invocation_log, set_level
from chalicelib.telemetry.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.domain.sweep_position import Position

# Time kept for saving the position and for the last log line.
RESERVE_S = 7.0
LOG_S = 0.5
# Time kept before that to remove what the last probes found dead, and to announce it.
REMOVAL_S = 3.0 + ANNOUNCE_S
EXPECTED = '{} or {"dryRun": true}'
# The scheduled event of EventBridge, which runs the sweep.
SCHEDULE = "aws.events"


def sweep(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Handle an invocation of `sweep`, by its schedule or by hand, and return the report.

    `{"dryRun": true}` logs and counts what would be removed and closed, and changes nothing. An
    invalid request returns an error. A failure is logged and raised, so that the error metric of
    the function shows it.
    """
    log = invocation_log(context)
    whole = Deadline.of(context)
    deadline = whole.minus(RESERVE_S)
    dry_run = _dry_run(event)
    if dry_run is None:
        log.error("invalid request", error=f"{event!r}; expected {EXPECTED}")
        return invalid_request(event, EXPECTED)
    try:
        config = settings.load()
        set_level(config.log_level)
        run = TablePass(
            store=ConnectionStore.open(config.connections_table, deadline),
            progress=SweepProgress.open(config.connections_table, whole.minus(LOG_S)),
            config=config,
            log=log,
            prober=Prober(
                config.management_endpoint,
                now_ms(),
                deadline.minus(REMOVAL_S),
                silent_after_s=config.silent_after_seconds,
            ),
            deadline=deadline,
            dry_run=dry_run,
        )
        position = run.run()
        run.prober.answers.report(config, log)
        values, report = report_of(run, position, now_ms())
        log.info("swept", **report, **({} if run.dry_run else metrics.fields(config.stage, values)))
        return report
    except SweepActiveError as error:
        log.warning("another run is active")
        return failed(error)
    except RegistryError as error:
        log.error("sweep failed", error=str(error), errorType=type(error).__name__)
        raise


def _dry_run(event: object) -> bool | None:
    """Return whether the request is a dry run, or None if it is invalid."""
    if not isinstance(event, dict):
        return None
    if event.get("source") == SCHEDULE or not event:
        return False
    value = event.get("dryRun")
    return value if event.keys() == {"dryRun"} and isinstance(value, bool) else None


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
        "removed": {"tooOld": tally.removed[Verdict.TOO_OLD], "gone": tally.removed[Verdict.GONE]},
        "skipped": tally.verdicts[Verdict.UNPROVEN] + tally.malformed,
        "replaced": tally.replaced,
        "expired": tally.expired,
        "silent": tally.silent,
        "missedDisconnectShare": tally.missed_share,
        "lagSeconds": lag_s,
    }
