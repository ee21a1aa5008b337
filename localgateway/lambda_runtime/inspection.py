"""Describes a Chalice project as JSON: `python -m localgateway.lambda_runtime.inspection`.

One line of JSON goes to standard output. It is a process of its own, because it imports Chalice
and the app, which the gateway itself should not hold.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from chalice.cli.factory import CLIFactory
from chalice.constants import DEFAULT_LAMBDA_MEMORY_SIZE, DEFAULT_LAMBDA_TIMEOUT
from chalice.deploy import models
from chalice.deploy.appgraph import ApplicationGraphBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Describe the project, or say why it cannot be served."""
    project, stage = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # an app may print when it is imported
    try:
        description = describe(project, stage)
    except RuntimeError as error:
        description = {"error": str(error)}
    except Exception:  # noqa: BLE001 - whatever an app raises at import is its author's to see
        description = {"error": f"importing the app failed\n{traceback.format_exc()}"}
    print(json.dumps(description), file=answers, flush=True)


def describe(project: str, stage: str) -> dict[str, Any]:
    """Describe functions, routes, schedules and subscriptions as `chalice deploy` makes them.

    Raises RuntimeError for no project, another stage than it has, or no WebSocket handlers.
    """
    factory = CLIFactory(project, environ=os.environ)
    stages = _load(factory).get("stages", {})
    if stage not in stages:
        known = ", ".join(stages) or "none"
        raise RuntimeError(f"stage {stage!r} is not in .chalice/config.json; it has: {known}")
    config = factory.create_config_obj(stage)
    resources = ApplicationGraphBuilder().build(config, stage).resources
    apis = [resource for resource in resources if isinstance(resource, models.WebsocketAPI)]
    if not apis:
        raise RuntimeError("app.py has no WebSocket handlers; @app.on_ws_connect() makes one")
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
    }


def _load(factory: CLIFactory) -> dict[str, Any]:
    try:
        config: dict[str, Any] = factory.load_project_config()
    except OSError as error:
        raise RuntimeError(f"it has no .chalice/config.json ({error.strerror})") from error
    except ValueError as error:
        raise RuntimeError(f".chalice/config.json is not JSON: {error}") from error
    return config


def _routes(api: models.WebsocketAPI) -> Iterator[tuple[str, models.LambdaFunction]]:
    # Chalice makes one function for all message routes.
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
    }


if __name__ == "__main__":
    main()
