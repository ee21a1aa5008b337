"""The text that the gateway prints once it serves."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localgateway.options import Options
    from localgateway.run_file import Run

_ROOT = Path(__file__).resolve().parents[1]
_LOG = {
    "json": "below, one JSON object per line (--log pretty shortens them)",
    "pretty": "below (--log json shows every field)",
}


def startup_text(run: Run, options: Options, engine_url: str) -> str:
    """Return the address, one command each to connect, notify and read the table, and how to stop.

    The commands run in any shell and folder: they need no AWS command line and no variables.
    """
    dynamodb = options.dynamodb_endpoint or engine_url
    client = f"{_client()} --port {run.port}"
    lines = [
        f"{run.app} (stage {run.stage}) is running at {click.style(run.url, bold=True)}",
        "",
        _entry("console", run.console),
        _entry("connect", f"{_python()} -m websockets {run.url}"),
        *_commands(run, client),
        _entry("AWS CLI", f'eval "$({client} env)"'),
        "",
        _entry("DynamoDB", dynamodb),
        _entry("log", _LOG[options.log]),
        _entry("options", "python -m localgateway --help lists every option and address"),
        "",
        "Press Ctrl+C to stop.",
    ]
    return "\n".join(lines)


def _commands(run: Run, client: str) -> Iterator[str]:
    if run.topics:
        yield _entry("notify", f"{client} notify Hello")
    if run.tables:
        yield _entry("table", f"{client} table")


def _entry(label: str, text: str) -> str:
    return f"  {click.style(f'{label:<10}', fg='cyan')} {text}"


def _python() -> str:
    return shlex.quote(sys.executable)


def _client() -> str:
    # An installed package is found from everywhere, a checkout only from its own folder.
    installed = str(_ROOT) in sys.path and _ROOT.name.endswith("-packages")
    path = "" if installed else f"PYTHONPATH={shlex.quote(str(_ROOT))} "
    return f"{path}{_python()} -m localgateway.client"
