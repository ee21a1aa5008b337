"""The description of a project, and the errors for other folders."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from localgateway.errors import ChildError, ProjectError
from localgateway.lambda_runtime.project import Project, Schedule, Subscription, inspect
from localgateway.process_environment import Credentials, embedded

CONFIG = {"version": "2.0", "app_name": "made", "stages": {"dev": {}, "prod": {}}}
NO_ROUTES = "from chalice.app import Chalice\napp = Chalice('made')\n"


def inspected(folder: Path, stage: str = "dev") -> Project:
    """Inspect a project in a process of its own."""
    return asyncio.run(inspect(folder, stage, embedded(os.environ, Credentials())))


def make(folder: Path, app: str, config: Any = CONFIG) -> Path:
    """Create a project with an app and a configuration."""
    (folder / ".chalice").mkdir()
    (folder / ".chalice" / "config.json").write_text(
        config if isinstance(config, str) else json.dumps(config)
    )
    (folder / "app.py").write_text(app)
    return folder


def test_a_project_is_what_chalice_would_deploy(sample: Path) -> None:
    """It has functions with settings, routes, schedules, subscriptions and the API's stage."""
    project = inspected(sample)

    connect = project.functions["sample-dev-websocket_connect"]
    message = project.functions["sample-dev-websocket_message"]
    disconnect = project.functions["sample-dev-websocket_disconnect"]
    assert (project.app, project.api_stage, project.folder) == ("sample", "live", sample)
    assert project.routes == {
        "$connect": connect.name,
        "$default": message.name,
        "$disconnect": disconnect.name,
    }
    assert (connect.handler, connect.timeout, connect.memory_mb) == ("app.greet", 2, 128)
    assert (message.handler, message.timeout, message.memory_mb) == ("app.serve", 3, 256)
    assert disconnect.timeout == 60
    assert connect.variables.keys() == {"RECORDER", "STAGE_VARIABLE"}
    assert message.variables["FUNCTION_VARIABLE"] == "of messages"
    assert project.schedules == (
        Schedule("sample-dev-tick-event", "rate(1 minute)", "sample-dev-tick"),
        Schedule("sample-dev-nightly-event", "cron(0 3 * * ? *)", "sample-dev-nightly"),
    )
    assert project.functions["sample-dev-work"].handler == "app.work"
    assert project.subscriptions[0] == Subscription("News", "sample-dev-hear")


@pytest.mark.parametrize(
    ("app", "config", "stage", "cause"),
    [
        (
            NO_ROUTES,
            CONFIG,
            "test",
            "stage 'test' is not in .chalice/config.json (stages: dev, prod",
        ),
        (NO_ROUTES, {"app_name": "made"}, "dev", "stages: none"),
        (NO_ROUTES, "{", "dev", ".chalice/config.json is not valid JSON"),
        (NO_ROUTES, CONFIG, "dev", "no WebSocket handlers; add one with @app.on_ws_connect()"),
        ("print('hi')\nraise ValueError('at import')", CONFIG, "dev", "ValueError: at import"),
        ("import os\nos.system('echo hi')\nraise KeyError", CONFIG, "dev", "KeyError"),
        ("def", CONFIG, "dev", "Unable to import your app.py"),
    ],
)
def test_the_error_says_why_a_project_cannot_be_served(
    tmp_path: Path, app: str, config: Any, stage: str, cause: str
) -> None:
    """The message has the folder, the cause and what to do."""
    folder = make(tmp_path, app, config)

    with pytest.raises(ProjectError) as raised:
        inspected(folder, stage)

    assert str(folder) in str(raised.value)
    assert cause in str(raised.value)


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    """Any other folder is refused."""
    with pytest.raises(ProjectError, match=r"no \.chalice/config\.json"):
        inspected(tmp_path)


def test_an_app_that_ends_the_process_does_not_hang_the_gateway(tmp_path: Path) -> None:
    """A process without output is reported."""
    folder = make(tmp_path, "import os\nos._exit(7)\n")

    with pytest.raises(ChildError, match="exited with status 7"):
        inspected(folder)
