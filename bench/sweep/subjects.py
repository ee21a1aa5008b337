"""One subject of the bench, in a process of its own: `python -m bench.sweep.subjects NAME URL`.

It prints, as JSON, the rows that it swept, the wall and CPU seconds that this took, and by how
many bytes the largest resident memory grew over that of the process when it began. Imports, and
the making of clients and connections, are left out.
"""

import contextlib
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3

from chalicelib import settings
from chalicelib.clock import Deadline
from chalicelib.domain.liveness import Verdict
from chalicelib.services.probing import Prober
from chalicelib.services.table_pass import TablePass
from chalicelib.store import ConnectionStore
from chalicelib.sweep_progress import SweepProgress
from chalicelib.telemetry.logs import Log

TABLE = "bench"
SECONDS = 300.0  # far more than a run takes


def this_project(url: str) -> Callable[[], int]:
    """Sweep with the function's own code, its limit of probes a second lifted."""
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": f"{url}/dev",
        "CONNECTIONS_TABLE": TABLE,
    }
    store = ConnectionStore.open(TABLE, Deadline(math.inf))
    progress = SweepProgress.open(TABLE, Deadline(math.inf))
    progress.position()

    def run() -> int:
        deadline = Deadline(time.monotonic() + SECONDS)
        now_ms = time.time_ns() // 1_000_000
        config = settings.load()
        prober = Prober(config.management_endpoint, now_ms, deadline, probes_a_second=None)
        sweep = TablePass(store, progress, config, Log({}), prober, deadline)
        sweep.run()
        if not sweep.finished or sweep.tally.verdicts[Verdict.UNPROVEN]:
            raise SystemExit(f"the sweep did not finish: {sweep.tally}")
        return sweep.tally.verdicts.total()

    return run


def plain_sweep(url: str) -> Callable[[], int]:
    """Scan with boto3, ask for each connection with `get_connection`, delete what is gone."""
    dynamodb = boto3.client("dynamodb", endpoint_url=url)
    api = boto3.client("apigatewaymanagementapi", endpoint_url=f"{url}/dev")

    def run() -> int:
        swept = 0
        for page in dynamodb.get_paginator("scan").paginate(TableName=TABLE):
            for item in page["Items"]:
                swept += 1
                try:
                    api.get_connection(ConnectionId=item["connectionId"]["S"])
                except api.exceptions.GoneException:
                    key = {"connectionId": item["connectionId"]}
                    dynamodb.delete_item(TableName=TABLE, Key=key)
        return swept

    return run


SUBJECTS = {subject.__name__: subject for subject in (this_project, plain_sweep)}


def peak() -> int:
    """Return the largest resident memory so far in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run the subject that the command line names."""
    name, url = sys.argv[1:]
    run = SUBJECTS[name](url)
    memory, cpu, wall = peak(), time.process_time(), time.perf_counter()
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        swept = run()
    figures = {
        "rows": swept,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "growth": peak() - memory,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
