"""AWS only: functions, their policies and the table are as the project defines them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from accept.definitions import Account, allowed
from accept.errors import FailedError, UndecidedError
from accept.rows import INDEX
from accept.target import FUNCTIONS, stage_config

if TYPE_CHECKING:
    from accept.run import Run


async def functions(run: Run) -> str:
    """Check that each function is active and configured as in `.chalice/config.json`."""
    config = stage_config(run.target.project, run.target.stage)
    wrong = {}
    for name, deployed in FUNCTIONS.items():
        own = config.get("lambda_functions", {}).get(deployed, {})
        expected = {
            "State": "Active",
            "MemorySize": own.get("lambda_memory_size", config["lambda_memory_size"]),
            "Timeout": own.get("lambda_timeout", config["lambda_timeout"]),
            "Architectures": [config["lambda_architecture"]],
        }
        seen = await configuration(run, name)
        different = {key: seen.get(key) for key in expected if seen.get(key) != expected[key]}
        variables = seen.get("Environment", {}).get("Variables", {})
        for key, value in config["environment_variables"].items():
            if variables.get(key) != value:
                different[key] = variables.get(key)
        if different:
            wrong[name] = different
    if wrong:
        raise FailedError("the settings of .chalice/config.json", wrong, "Lambda")
    return f"{len(FUNCTIONS)} functions"


async def policies(run: Run) -> str:
    """Check that each function may do what its policy file allows, and nothing of another's."""
    account = Account((await configuration(run, "connect"))["FunctionArn"], run.target.api_id)
    may = {name: allowed(run.target, name, account) for name in FUNCTIONS}
    everything = set().union(*may.values())
    # Another stage's table and a call that no function needs.
    table = f"arn:{account.partition}:dynamodb:{account.region}:{account.id}:table"
    everything |= {("dynamodb:DeleteItem", f"{table}/another")}
    everything |= {("dynamodb:DeleteTable", f"{table}/{run.target.table}")}
    wrong: dict[str, Any] = {}
    for name, own in may.items():
        role = (await configuration(run, name))["Role"]
        decisions = await _decisions(run, role, everything)
        different = [
            f"{action} on {resource} is {'allowed' if decisions[action, resource] else 'denied'}"
            for action, resource in sorted(everything)
            if decisions[action, resource] is not ((action, resource) in own)
        ]
        if different:
            wrong[name] = different
    if wrong:
        raise FailedError("what .chalice/policies/ allows", wrong, "the functions' roles in IAM")
    return f"{len(everything)} permissions of {len(may)} functions"


async def _decisions(
    run: Run, role: str, wanted: set[tuple[str, str]]
) -> dict[tuple[str, str], bool]:
    """Return for each action and resource whether the role may, by a simulation."""
    request: dict[str, Any] = {
        "PolicySourceArn": role,
        "ActionNames": sorted({action for action, _ in wanted}),
        "ResourceArns": sorted({resource for _, resource in wanted}),
        "MaxItems": 1000,
    }
    results: list[Any] = []
    while True:
        answer = await run.aws.call("iam", "simulate_principal_policy", **request)
        results += answer["EvaluationResults"]
        if not answer.get("IsTruncated"):
            break
        request["Marker"] = answer["Marker"]
    decisions: dict[tuple[str, str], bool] = {}
    for result in results:
        action = result["EvalActionName"]
        decisions[action, result.get("EvalResourceName", "*")] = result["EvalDecision"] == "allowed"
        for each in result.get("ResourceSpecificResults", ()):
            permitted = each["EvalResourceDecision"] == "allowed"
            decisions[action, each["EvalResourceName"]] = permitted
    if not wanted <= decisions.keys():
        raise UndecidedError("IAM did not simulate every action on every resource")
    return decisions


async def table(run: Run) -> str:
    """Check that the table has its key, its index, TTL, encryption and recovery."""
    name = run.target.table
    seen = (await run.aws.call("dynamodb", "describe_table", TableName=name))["Table"]
    expiry = await run.aws.call("dynamodb", "describe_time_to_live", TableName=name)
    backups = await run.aws.call("dynamodb", "describe_continuous_backups", TableName=name)
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    values = {
        "status": seen["TableStatus"],
        "key": [key["AttributeName"] for key in seen["KeySchema"]],
        "billing": seen.get("BillingModeSummary", {}).get("BillingMode"),
        "indexes": {
            each["IndexName"]: each.get("IndexStatus")
            for each in seen.get("GlobalSecondaryIndexes", ())
        },
        "ttl": expiry["TimeToLiveDescription"].get("AttributeName"),
        "encryption": seen.get("SSEDescription", {}).get("Status"),
        "recovery": recovery.get("PointInTimeRecoveryStatus"),
    }
    expected = {
        "status": "ACTIVE",
        "key": ["connectionId"],
        "billing": "PAY_PER_REQUEST",
        "indexes": {INDEX: "ACTIVE"},
        "ttl": "ttl",
        "encryption": "ENABLED",
        "recovery": "ENABLED",
    }
    wrong = {key: value for key, value in values.items() if value != expected[key]}
    if wrong:
        right = {key: expected[key] for key in wrong}
        raise FailedError(str(right), wrong, f"table {name}")
    return name


async def configuration(run: Run, function: str) -> dict[str, Any]:
    """Return a function's configuration, which is read once."""
    deployed = run.target.functions[function]
    if deployed not in run.read:
        run.read[deployed] = await run.aws.call(
            "lambda", "get_function_configuration", FunctionName=deployed
        )
    return run.read[deployed]
