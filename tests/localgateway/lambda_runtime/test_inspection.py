"""Descriptions of projects, read in this process."""

import io
import json
import sys
from pathlib import Path

import pytest

from localgateway.lambda_runtime import inspection
from tests.localgateway.support import SAMPLE


@pytest.fixture(autouse=True)
def _no_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove imported apps before and after each test."""
    monkeypatch.delitem(sys.modules, "app", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_project_is_described_as_chalice_would_deploy_it() -> None:
    """Each function is described once, with the settings of its own key."""
    description = inspection.describe(str(SAMPLE), "dev")

    functions = {each["name"]: each for each in description["functions"]}
    assert len(functions) == len(description["functions"]) == 12
    assert functions["sample-dev-websocket_connect"]["timeout"] == 2
    assert functions["sample-dev-tick"]["timeout"] == 60
    assert functions["sample-dev-work"]["timeout"] == 4
    assert set(description["routes"]) == {"$connect", "$default", "$disconnect"}
    assert [each["expression"] for each in description["schedules"]] == [
        "rate(1 minute)",
        "cron(0 3 * * ? *)",
    ]
    assert description["subscriptions"] == [
        {"topic": "News", "function": "sample-dev-hear"},
        {
            "topic": "arn:aws:sns:eu-west-1:111122223333:Elsewhere",
            "function": "sample-dev-overhear",
        },
    ]
    assert description["queues"] == [
        {"queue": "Jobs", "function": "sample-dev-process", "batch_size": 2},
        {
            "queue": "arn:aws:sqs:eu-west-1:111122223333:Far",
            "function": "sample-dev-process_far",
            "batch_size": 1,
        },
    ]
    [rule] = description["rules"]
    assert json.loads(rule.pop("pattern")) == {
        "source": ["sample"],
        "detail": {"level": [{"prefix": "hi"}]},
    }
    assert rule == {"rule": "sample-dev-heed-event", "function": "sample-dev-heed"}


@pytest.mark.parametrize(
    ("folder", "stage", "said"),
    [
        (SAMPLE, "dev", '"api_stage": "live"'),
        (SAMPLE, "prod", "stage 'prod' is not in"),
        (Path("/nowhere"), "dev", "no .chalice/config.json"),
    ],
)
def test_the_answer_is_one_line_of_json(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    folder: Path,
    stage: str,
    said: str,
) -> None:
    """It prints one line in any case, even if the app prints."""
    monkeypatch.setattr(sys, "argv", ["inspection", stage])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder}\n"))
    monkeypatch.setattr(sys, "stdout", sys.stdout)

    inspection.main()

    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)
    assert said in line


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "is not valid JSON: Expecting property name"),
        ("\xff", "is not valid JSON: 'utf-8' codec"),
        ("[" * 100_000, "is not valid JSON: maximum recursion depth"),
        ("[]", "is not a Chalice configuration; expected {"),
        ('{"app_name": 5}', "is not a Chalice configuration; expected {"),
        ('{"app_name": "x", "stages": []}', "is not a Chalice configuration; expected {"),
        ('{"app_name": "x", "stages": {"dev": 5}}', "stage 'dev' in .chalice/config.json is 5;"),
        ('{"version": "9", "app_name": "x", "stages": {"dev": {}}}', 'set "version" to "2.0"'),
        ('{"version": "2.0", "app_name": "x", "stages": {"prod": {}}}', "choose one with --stage"),
    ],
)
def test_a_wrong_configuration_says_what_to_do(tmp_path: Path, config: str, said: str) -> None:
    """The message has one line."""
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text(config, encoding="latin-1")

    with pytest.raises(RuntimeError) as raised:
        inspection.describe(str(tmp_path), "dev")

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_configuration_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A folder in place of the file, for example."""
    (tmp_path / ".chalice" / "config.json").mkdir(parents=True)

    with pytest.raises(RuntimeError, match=r"cannot read .chalice/config.json: Is a directory"):
        inspection.describe(str(tmp_path), "dev")


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (
            "raise KeyError('missing')\n",
            "importing the app failed\nTraceback (most recent call last):\n"
            '  File "{app}", line 1, in <module>\n'
            "    raise KeyError('missing')\nKeyError: 'missing'",
        ),
        (
            "class SettingError(Exception): ...\nraise SettingError('TTL is 1; expected 3')\n",
            "importing the app failed: TTL is 1; expected 3",
        ),
        ("import json\njson.loads('{')\n", "importing the app failed\nTraceback (most recent"),
        ("import os\nos.environ['A'] = 1\n", "importing the app failed\nTraceback (most recent"),
    ],
)
def test_an_app_that_fails_is_described_by_its_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    app: str,
    error: str,
) -> None:
    """An error of the app's own is its message; others have the traceback from the app on."""
    (tmp_path / ".chalice").mkdir()
    (tmp_path / ".chalice" / "config.json").write_text('{"app_name": "x", "stages": {"dev": {}}}')
    (tmp_path / "app.py").write_text(app)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    monkeypatch.setattr(sys, "argv", ["inspection", "dev"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path}\n"))
    monkeypatch.setattr(sys, "stdout", sys.stdout)

    inspection.main()

    said = json.loads(capsys.readouterr().out)["error"]
    assert said.startswith(error.format(app=tmp_path / "app.py"))
