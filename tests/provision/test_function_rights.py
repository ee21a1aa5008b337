"""Settings in config.json that need rights in a function's policy file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.errors import MissingRightsError, TemplateError
from provision.function_rights import check

CONFIG = Path(__file__).parents[2] / ".chalice" / "config.json"
VPC_ACTIONS = [
    f"ec2:{name}NetworkInterface{plural}"
    for name, plural in (("Create", ""), ("Describe", "s"), ("Detach", ""), ("Delete", ""))
]
XRAY_ACTIONS = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
VPC = {"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]}


def project(
    folder: Path,
    *,
    actions: list[str],
    top: dict[str, Any] | None = None,
    stage: dict[str, Any] | None = None,
    function: dict[str, Any] | None = None,
) -> Path:
    """Write a config with settings at each level and the policy of its one function."""
    functions = {"sweep": {"iam_policy_file": "sweep.json", **(function or {})}}
    config = {**(top or {}), "stages": {"dev": {"lambda_functions": functions, **(stage or {})}}}
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    (folder / "sweep.json").write_text(json.dumps({"Statement": [statement]}))
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize("level", ["top", "stage", "function"])
@pytest.mark.parametrize(
    ("settings", "actions"), [(VPC, VPC_ACTIONS), ({"xray": True}, XRAY_ACTIONS)]
)
def test_a_setting_is_refused_until_the_policy_grants_what_it_needs(
    tmp_path: Path, level: str, settings: dict[str, Any], actions: list[str]
) -> None:
    """Chalice would create the function without the rights."""
    check(project(tmp_path, actions=actions, **{level: settings}), "dev")

    lacking = project(tmp_path, actions=actions[1:], **{level: settings})
    with pytest.raises(MissingRightsError) as refused:
        check(lacking, "dev")

    setting = next(iter(settings))
    assert str(refused.value).startswith(
        f"config.json sets {setting}, but {tmp_path / 'sweep.json'} does not grant what it needs; "
        'add this statement to it: {"Effect": "Allow"'
    )
    for action in actions:
        assert action in str(refused.value)


def test_a_function_may_turn_a_setting_off(tmp_path: Path) -> None:
    """The nearest level counts."""
    check(
        project(tmp_path, actions=[], top={"xray": True}, function={"xray": False}),
        "dev",
    )


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_projects_own_settings_need_no_more_rights(stage: str) -> None:
    """It uses neither a VPC nor X-Ray."""
    check(CONFIG, stage)


def test_an_unreadable_config_is_reported(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(TemplateError, match=r"cannot read .*config\.json as JSON"):
        check(tmp_path / "config.json", "dev")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ([], "cannot use {path}: a value has another form"),
        ({"stages": []}, "cannot use {path}: a value has another form"),
        ({"stages": {"dev": {"lambda_functions": []}}}, "cannot use {path}: a value has"),
        (
            {
                "xray": True,
                "stages": {"dev": {"lambda_functions": {"sweep": {"iam_policy_file": None}}}},
            },
            "cannot use {path}: a value has another form",
        ),
    ],
)
def test_a_config_of_another_form_is_reported(tmp_path: Path, config: Any, said: str) -> None:
    """The message names the file, too."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))

    with pytest.raises(TemplateError, match=said.format(path=path)):
        check(path, "dev")


@pytest.mark.parametrize("policy", [[], {"Statement": [{}]}, {"Statement": {"Effect": "Allow"}}])
def test_a_policy_of_another_form_is_reported(tmp_path: Path, policy: Any) -> None:
    """The message names the policy file."""
    path = project(tmp_path, actions=[], top={"xray": True})
    (tmp_path / "sweep.json").write_text(json.dumps(policy))

    with pytest.raises(TemplateError, match=r"cannot use .*sweep\.json: a value has another form"):
        check(path, "dev")
