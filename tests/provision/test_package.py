"""The template that `chalice package` merges; tests/deployment runs the command itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from provision.errors import ParameterError
from provision.package import main, merge_template

CHALICE = Path(__file__).parents[2] / ".chalice"
RESOURCES = CHALICE / "resources.json"


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_template_is_that_of_the_stage(stage: str) -> None:
    """Nothing else differs from the resources file."""
    expected = json.loads(RESOURCES.read_text())
    expected["Parameters"]["Stage"]["AllowedValues"] = [stage]
    for name in ("Connections", "History"):
        table = expected["Resources"][f"{name}Table"]["Properties"]
        table["TableName"] = f"IncidentWebSocket{name}-{stage}"

    assert merge_template(RESOURCES, (), stage) == expected


def test_another_template_is_merged_over_it() -> None:
    """The example authorizer changes the route of Chalice and adds a parameter."""
    template = merge_template(RESOURCES, [CHALICE / "authorizer.json"], "dev")

    assert template["Resources"]["WebsocketConnectRoute"]["Properties"] == {
        "AuthorizationType": "CUSTOM",
        "AuthorizerId": {"Ref": "Authorizer"},
    }
    assert template["Parameters"].keys() >= {"Stage", "AlarmTopicArn", "AuthorizerFunctionArn"}
    assert template["Resources"]["ConnectionsTable"]


def test_an_unknown_stage_is_refused() -> None:
    """The message lists the stages."""
    with pytest.raises(ParameterError, match="parameter Stage is 'test'; expected dev or prod"):
        merge_template(RESOURCES, (), "test")


@pytest.mark.parametrize(
    ("config", "resources", "message"),
    [
        (None, None, "Error: cannot read"),
        ({}, None, "Error: cannot read"),
        ({}, {"Parameters": {"Stage": {"AllowedValues": ["dev"]}}, "Resources": {}}, "with status"),
    ],
)
def test_a_mistake_is_reported_in_one_line(
    tmp_path: Path, config: object, resources: object, message: str
) -> None:
    """A missing file, and a project that Chalice refuses."""
    (tmp_path / ".chalice").mkdir()
    for name, content in (("config", config), ("resources", resources)):
        if content is not None:
            (tmp_path / ".chalice" / f"{name}.json").write_text(json.dumps(content))

    result = CliRunner().invoke(main, ["--stage", "dev", "--project", str(tmp_path)])

    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
