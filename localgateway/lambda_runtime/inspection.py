"""Describes a Chalice project: `python -m localgateway.lambda_runtime.inspection STAGE`.

It reads the project's folder as a line of standard input and prints one line of JSON. It runs in a
process of its own because it imports Chalice and the app, which would stay in the gateway's memory.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from chalice.cli.factory import CLIFactory, UnknownConfigFileVersion
from chalice.constants import DEFAULT_LAMBDA_MEMORY_SIZE, DEFAULT_LAMBDA_TIMEOUT
from chalice.deploy import models
from chalice.deploy.appgraph import ApplicationGraphBuilder
from chalice.utils import to_cfn_resource_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = ".chalice/config.json"
_OWN_MODULES = ("app", "chalicelib")


def main() -> None:
    """Print the description of the project, or why it cannot be served."""
    stage = sys.argv[1]
    # Chalice is imported by now: a process that waits here answers sooner.
    project = sys.stdin.readline().rstrip("\n")
    if not project:
        return
    answers, sys.stdout = sys.stdout, sys.stderr  # an app may print when it is imported
    try:
        description = describe(project, stage)
    except RuntimeError as error:
        description = {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - an app may raise anything
        description = {"error": f"importing the app failed{_cause(error, project)}"}
    print(json.dumps(description), file=answers, flush=True)


def describe(project: str, stage: str) -> dict[str, Any]:
    """Return the functions, routes and event sources that `chalice deploy` creates.

    Raise `RuntimeError` if the configuration is missing or invalid, does not have the stage, or
    if the app has no WebSocket handlers.
    """
    factory = CLIFactory(project, environ=os.environ)
    stages = _stages(factory)
    if stage not in stages:
        known = ", ".join(stages) or "none"
        raise RuntimeError(
            f"stage {stage!r} is not in {_CONFIG} (stages: {known}); choose one with --stage"
        )
    try:
        config = factory.create_config_obj(stage)
    except UnknownConfigFileVersion as error:
        raise RuntimeError(f'{error}; set "version" to "2.0" in {_CONFIG}') from error
    resources = ApplicationGraphBuilder().build(config, stage).resources
    apis = [resource for resource in resources if isinstance(resource, models.WebsocketAPI)]
    if not apis:
        raise RuntimeError("app.py has no WebSocket handlers; add one with @app.on_ws_connect()")
    routes = dict(_routes(apis[0]))
    events = [each for each in resources if isinstance(each, models.FunctionEventSubscriber)]
    functions = [
        *routes.values(),
        *(each for each in resources if isinstance(each, models.LambdaFunction)),
        *(each.lambda_function for each in events),
    ]
    return {
        "app": config.app_name,
        "api_stage": apis[0].api_gateway_stage,
        "functions": [
            _function(function) for function in {f.function_name: f for f in functions}.values()
        ],
        "routes": {key: function.function_name for key, function in routes.items()},
        "schedules": [
            {
                "rule": schedule.rule_name,
                "expression": schedule.schedule_expression,
                "function": schedule.lambda_function.function_name,
            }
            for schedule in events
            if isinstance(schedule, models.ScheduledEvent)
        ],
        "subscriptions": [
            {"topic": each.topic, "function": each.lambda_function.function_name}
            for each in events
            if isinstance(each, models.SNSLambdaSubscription)
        ],
        "queues": [
            {
                "queue": each.queue if isinstance(each.queue, str) else each.queue.arn,
                "function": each.lambda_function.function_name,
                "batch_size": each.batch_size,
            }
            for each in events
            if isinstance(each, models.SQSEventSource)
        ],
        "rules": [
            {
                "rule": each.rule_name,
                "pattern": each.event_pattern,
                "function": each.lambda_function.function_name,
            }
            for each in events
            if isinstance(each, models.CloudWatchEvent)
        ],
    }


def _cause(error: Exception, project: str) -> str:
    """Return the message of an error that the app defines, else the app's part of the traceback.

    The app raises its own errors on purpose, to be read by who configures it. Others are bugs.
    """
    if type(error).__module__.partition(".")[0] in _OWN_MODULES:
        return f": {error}"
    own = error.__traceback__
    while own is not None and not own.tb_frame.f_code.co_filename.startswith(f"{project}/"):
        own = own.tb_next
    lines = traceback.format_exception(type(error), error, own)
    if own is None and len(lines) == 1:
        return f": {lines[0].rstrip()}"
    return "\n" + "".join(lines).rstrip()


def _stages(factory: CLIFactory) -> dict[str, Any]:
    try:
        config = factory.load_project_config()
    except FileNotFoundError as error:
        raise RuntimeError(
            f"no {_CONFIG}; choose the folder of a Chalice project with --project"
        ) from error
    except OSError as error:
        raise RuntimeError(f"cannot read {_CONFIG}: {error.strerror}") from error
    except (RecursionError, ValueError) as error:
        raise RuntimeError(f"{_CONFIG} is not valid JSON: {error}; correct the file") from error
    stages = config.get("stages", {}) if isinstance(config, dict) else None
    if not isinstance(stages, dict) or not isinstance(config.get("app_name"), str):
        raise RuntimeError(
            f'{_CONFIG} is not a Chalice configuration; expected {{"version": "2.0", '
            '"app_name": "...", "stages": {"dev": {}}}'
        )
    for name, settings in stages.items():
        if not isinstance(settings, dict):
            raise RuntimeError(f"stage {name!r} in {_CONFIG} is {settings!r}; expected an object")
    return stages


def _routes(api: models.WebsocketAPI) -> Iterator[tuple[str, models.LambdaFunction]]:
    # Chalice creates one function for all message routes.
    own = {"$connect": api.connect_function, "$disconnect": api.disconnect_function}
    for key in api.routes:
        function = own.get(key, api.message_function)
        if function is not None:
            yield key, function


def _function(function: models.LambdaFunction) -> dict[str, Any]:
    return {
        "name": function.function_name,
        "handler": function.handler,
        "timeout": function.timeout or DEFAULT_LAMBDA_TIMEOUT,
        "memory_mb": function.memory_size or DEFAULT_LAMBDA_MEMORY_SIZE,
        "variables": function.environment_variables,
        "logical_id": to_cfn_resource_name(function.resource_name),
    }


def _keep_output_for_the_answer() -> None:
    # A program that an app starts when it is imported writes to the descriptor.
    sys.stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


if __name__ == "__main__":
    _keep_output_for_the_answer()
    main()
