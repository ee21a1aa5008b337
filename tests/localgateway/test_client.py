"""The commands that talk to a running gateway."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.localgateway.support import PATIENCE, Gateway, Recorder, Told, running

ROOT = Path(__file__).resolve().parents[2]


def run(gateway: Gateway, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command with the port of the gateway."""
    return subprocess.run(
        [sys.executable, "-m", "localgateway.client", f"--port={gateway.port}", *arguments],
        cwd=ROOT,
        input=text,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
    )


def hears(told: Told) -> bool:
    """Select the reports of a topic's function."""
    return told.kind == "news"


def test_env_prints_exports_only(gateway: Gateway) -> None:
    """A shell that evaluates them has the run's variables and no profile of its own."""
    exports = run(gateway, "env").stdout

    shell = {"PATH": os.environ["PATH"], "AWS_PROFILE": "mine", "AWS_SESSION_TOKEN": "mine"}
    said = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\nenv"], env=shell, capture_output=True, check=True, text=True
    )

    variables = dict(line.split("=", 1) for line in said.stdout.splitlines())
    assert {k: v for k, v in variables.items() if k.startswith("AWS_")} == gateway.run.variables


def test_connect_opens_a_connection(gateway: Gateway) -> None:
    """With the query string; it ends with its input."""
    known = len(gateway.recorder.all(lambda told: "fromthecommand" in told.query))

    said = run(gateway, "connect", "--query", "fromthecommand=1").stdout

    gateway.recorder.wait(lambda told: "fromthecommand" in told.query, known + 1)
    assert f"Connected to {gateway.url}" in said


def test_notify_publishes_with_attributes(gateway: Gateway) -> None:
    """To the first topic."""
    known = len(gateway.recorder.all(hears))

    said = run(gateway, "notify", "Disk full", "--attribute", "clientId=ada").stdout

    sns = gateway.recorder.wait(hears, known + 1)[known].content["Records"][0]["Sns"]
    assert sns["Message"] == "Disk full"
    assert sns["MessageAttributes"]["clientId"]["Value"] == "ada"
    assert said == f"published {sns['MessageId']} to News\n"


def test_table_shows_rows(gateway: Gateway) -> None:
    """As a text table, or a sentence if there are none."""
    empty = run(gateway, "table").stdout
    dynamodb = gateway.dynamodb()
    dynamodb.put_item(TableName="Things-dev", Item={"id": {"S": "a"}, "n": {"N": "7"}})
    rows = run(gateway, "table", "Things-dev").stdout
    dynamodb.delete_item(TableName="Things-dev", Key={"id": {"S": "a"}})

    assert empty == "Things-dev is empty\n"
    assert rows == "id  n\na   7\n"


def test_invoke_shows_what_a_function_returns(gateway: Gateway) -> None:
    """By the function's short name; lists of objects become tables."""
    payload = json.dumps({"text": "ü"})

    said = run(gateway, "invoke", "work", payload).stdout

    assert said == 'given: {"text": "\\u00fc"}\n'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["invoke", "work", '{"do": "raise"}'], "ValueError: a message went wrong"),
        (["invoke", "nothing"], "Function not found: nothing"),
        (["table", "Nothing"], "ResourceNotFoundException"),
        (["--port=1", "table"], "no gateway runs on port 1"),
    ],
)
def test_a_failure_is_one_line_and_status_1(
    gateway: Gateway, arguments: list[str], said: str
) -> None:
    """The message is AWS's or says what to do."""
    result = run(gateway, *arguments)

    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_faults_are_shown_and_changed_while_it_runs(gateway: Gateway) -> None:
    """Those of the gateway and those of the embedded AWS."""
    shown = run(gateway, "faults").stdout
    changed = run(gateway, "faults", "drop-posts=1", "dynamodb-lag=1").stdout
    with gateway.opened() as (client, connection_id):
        api = gateway.management()
        api.post_to_connection(ConnectionId=connection_id, Data=b"dropped")
        run(gateway, "faults", "drop-posts=0")
        api.post_to_connection(ConnectionId=connection_id, Data=b"delivered")
        received = client.recv(timeout=PATIENCE)
    restored = run(gateway, "faults", "dynamodb-lag=0")

    names = ["drop-disconnects", "drop-posts"]
    names += ["dynamodb-fail", "dynamodb-lag", "repeat-messages", "shuffle-messages"]
    assert shown == restored.stdout == "".join(f"{name}: 0\n" for name in names)
    assert "drop-posts: 1\n" in changed
    assert "dynamodb-lag: 1\n" in changed
    assert received == "delivered"


def test_messages_are_repeated_and_shuffled(gateway: Gateway) -> None:
    """Each message of a topic runs its function twice, in no certain order."""
    sns, topic = gateway.sns(), "arn:aws:sns:us-east-1:123456789012:News"
    marks = [str(uuid4()) for _ in range(8)]

    def heard() -> list[str]:
        told = gateway.recorder.all(lambda told: told.kind == "news")
        said = [each.content["Records"][0]["Sns"]["Message"] for each in told]
        return [text for text in said if text in marks]

    run(gateway, "faults", "repeat-messages=1", "shuffle-messages=0.5")
    for mark in marks:
        sns.publish(TopicArn=topic, Message=mark)
    run(gateway, "faults", "repeat-messages=0", "shuffle-messages=0")
    gateway.recorder.wait(lambda told: told.kind == "news" and len(heard()) >= 16)

    assert sorted(heard()) == sorted(2 * marks)
    assert heard() != sorted(heard(), key=marks.index)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("drop-posts", "'drop-posts' is not NAME=NUMBER"),
        ("drop-cats=1", "drop_cats is 1.0; expected numbers for drop_disconnects, drop_posts"),
    ],
)
def test_an_unknown_fault_is_an_error(gateway: Gateway, change: str, said: str) -> None:
    """The message lists those that exist."""
    assert said in run(gateway, "faults", change).stderr


def test_rows_can_be_aged(gateway: Gateway) -> None:
    """Times in s and ms move; other numbers stay."""
    dynamodb = gateway.dynamodb()
    row = {"id": "a", "expires": 4_000_000_000, "at": 1_800_000_000_000, "n": 7}
    item = {name: {"N": str(v)} if isinstance(v, int) else {"S": v} for name, v in row.items()}
    dynamodb.put_item(TableName="Things-dev", Item=item)

    said = run(gateway, "age", "--minutes", "2").stdout

    [found] = dynamodb.scan(TableName="Things-dev")["Items"]
    dynamodb.delete_item(TableName="Things-dev", Key={"id": {"S": "a"}})
    assert said == "1 rows are 2 minutes older\n"
    numbers = {name: int(found[name]["N"]) for name in ("expires", "at", "n")}
    assert numbers == {"expires": 3_999_999_880, "at": 1_799_999_880_000, "n": 7}


@pytest.mark.proof
def test_the_shell_has_no_say_in_where_a_run_is(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have addresses of another AWS, whose tables `age` would change."""
    for name in ("DYNAMODB", "SNS", "LAMBDA"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")

    commands = (["table"], ["notify", "Hello"], ["invoke", "work"], ["age", "--minutes=1"])
    results = [run(gateway, *arguments) for arguments in commands]
    exports = run(gateway, "env").stdout
    said = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\nenv"], capture_output=True, check=True, text=True
    )

    assert [result.stderr for result in results] == [""] * 4
    assert "127.0.0.1:9" not in said.stdout
    assert "AWS_IGNORE" not in said.stdout


@pytest.mark.proof
def test_commands_find_a_gateway_at_any_address(sample: Path, recorder: Recorder) -> None:
    """It listens there only, and passes on what is for the embedded AWS."""
    with running(sample, recorder, host="127.0.0.2") as gateway:
        results = [run(gateway, *words) for words in (["faults"], ["table"], ["notify", "Hello"])]

    assert [result.stderr for result in results] == [""] * 3


@pytest.mark.proof
def test_rows_with_a_number_in_their_key_do_not_age(
    tmp_path: Path, sample: Path, recorder: Recorder
) -> None:
    """They would be put beside themselves, and what refers to the number would miss them."""
    project = tmp_path / "project"
    shutil.copytree(sample, project)
    path = project / ".chalice" / "resources.json"
    template = json.loads(path.read_text())
    log = json.loads(json.dumps(template["Resources"]["Things"]).replace("Things-", "Log-"))
    log["Properties"]["KeySchema"].append({"AttributeName": "seq", "KeyType": "RANGE"})
    log["Properties"]["AttributeDefinitions"].append({"AttributeName": "seq", "AttributeType": "N"})
    template["Resources"]["Log"] = log
    path.write_text(json.dumps(template))
    item = {"id": {"S": "a"}, "seq": {"N": "1731324924573"}, "prev": {"N": "1731324924561"}}

    with running(project, recorder) as gateway:
        gateway.dynamodb().put_item(TableName="Log-dev", Item=item)
        said = run(gateway, "age", "--minutes=2").stdout
        found = gateway.dynamodb().scan(TableName="Log-dev")["Items"]

    assert found == [item]
    assert said == "0 rows are 2 minutes older\n"
