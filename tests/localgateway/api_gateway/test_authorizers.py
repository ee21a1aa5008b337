"""Lambda authorizers: their policies, and a real one over real sockets."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localgateway.api_gateway.authorizers import allows, decide
from localgateway.api_gateway.responses import Refused
from localgateway.lambda_runtime.outcomes import Failed, Returned, TimedOut
from tests.localgateway.api_gateway.test_template import AUTHORIZER, CUSTOM
from tests.localgateway.support import Gateway, Recorder, ask, refused, running

ARN = "arn:aws:execute-api:us-east-1:123456789012:local00000/live/$connect"
GUARD = '''

@app.lambda_function(name="guard")
def guard(event: Any, context: Any) -> Any:
    """Decide by the token."""
    tell("guard", event)
    token = event["queryStringParameters"]["token"]
    if token == "unknown":
        raise Exception("Unauthorized")
    if token == "broken":
        return "no policy"
    effect = "Deny" if token == "denied" else "Allow"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": token, "policyDocument": policy, "context": {"team": "blue", "n": 1}}
'''


def statement(effect: str, resource: Any = "*", action: Any = "execute-api:Invoke") -> Any:
    """Return a statement of a policy."""
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([statement("Allow", ARN)], True),
        (statement("Allow"), True),
        ([statement("Allow", "arn:aws:execute-api:*:*:*/live/*")], True),
        ([statement("Allow", ["arn:other", ARN])], True),
        ([statement("Allow", action=["execute-api:*"])], True),
        ([statement("Allow"), statement("Deny", ARN)], False),
        ([statement("Allow", "arn:aws:execute-api:*:*:*/dev/*")], False),
        ([statement("Allow", action="execute-api:ManageConnections")], False),
        ([statement("Allow", "arn:aws:execute-api:*:*:*/liv[e]/*")], False),
        ([], False),
        (None, False),
    ],
)
def test_a_policy_allows_or_not(statements: Any, allowed: bool) -> None:
    """As in IAM, a Deny outweighs every Allow."""
    assert allows({"Statement": statements}, ARN) is allowed


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Failed("…", {"errorMessage": "Unauthorized"}), 401),
        (Failed("…", {"errorMessage": "unauthorized"}), 500),
        (Failed("exited"), 500),
        (TimedOut(3.0), 500),
        (Returned(None), 500),
        (Returned({"principalId": "a"}), 500),
        (Returned({"policyDocument": {"Statement": [statement("Allow")]}}), 500),
        (
            Returned(
                {
                    "principalId": "a",
                    "policyDocument": {"Statement": [statement("Allow")]},
                    "context": {"nested": {}},
                }
            ),
            500,
        ),
        (Returned({"principalId": "a", "policyDocument": {"Statement": []}}), 403),
    ],
)
def test_an_outcome_that_does_not_allow_is_refused(outcome: Any, status: int) -> None:
    """With API Gateway's status."""
    decision = decide(outcome, ARN)

    assert isinstance(decision, Refused)
    assert decision.status == status


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, recorder: Recorder
) -> Iterator[Gateway]:
    """Run the sample project with an authorizer in its resources file."""
    project = tmp_path_factory.mktemp("guarded") / "project"
    shutil.copytree(sample, project)
    app = project / "app.py"
    app.write_text(app.read_text() + GUARD)
    path = project / ".chalice" / "resources.json"
    template = json.loads(path.read_text())
    template["Resources"] |= {"A": AUTHORIZER, "WebsocketConnectRoute": {"Properties": CUSTOM}}
    path.write_text(json.dumps(template))
    with running(project, recorder) as gateway:
        yield gateway


def test_its_context_is_in_every_event(guarded: Gateway) -> None:
    """It receives the request; `$connect`, messages and `$disconnect` know the principal."""
    with guarded.opened("?token=ada") as (client, connection_id):
        ask(client, do="echo", text="x")

    asked = guarded.recorder.all(lambda told: told.kind == "guard")[-1].content
    guarded.recorder.ended(connection_id)
    told = guarded.recorder.all(
        lambda told: (
            told.kind in ("connect", "message", "disconnect")
            and told.connection_id == connection_id
        )
    )
    assert asked["type"] == "REQUEST"
    assert asked["methodArn"] == ARN
    assert asked["requestContext"]["routeKey"] == "$connect"
    expected = {"principalId": "ada", "team": "blue", "n": 1}
    assert [each.kind for each in told] == ["connect", "message", "disconnect"]
    for each in told:
        assert each.content["requestContext"]["authorizer"] == expected


@pytest.mark.parametrize(
    ("query", "status", "asked"),
    [
        ("", 401, 0),
        ("?token=", 401, 0),
        ("?token=unknown", 401, 1),
        ("?token=denied", 403, 1),
        ("?token=broken", 500, 1),
    ],
)
def test_a_handshake_is_refused(guarded: Gateway, query: str, status: int, asked: int) -> None:
    """`$connect` does not run; without an identity source the authorizer does not run either."""

    def number(kind: str) -> int:
        return len(guarded.recorder.all(lambda told: told.kind == kind))

    before = number("guard"), number("connect")

    assert refused(guarded, query)[0] == status

    assert (number("guard") - before[0], number("connect") - before[1]) == (asked, 0)
