"""HTTP on the gateway's port, as pages, strangers and AWS clients use it."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.localgateway.support import PATIENCE, SIGNED, UPGRADE, Gateway, raw, request_head
from tests.support.browser import chromium, page

WORK = "/2015-03-31/functions/sample-dev-work/invocations"
EVIL = "https://evil.example"
BIN = Path(sys.executable).parent


def answer(
    gateway: Gateway, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, str, list[str]]:
    """Send a request and return status, body and the names of the headers."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return (
            response.status,
            response.read().decode(),
            [name.lower() for name in response.headers],
        )
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", WORK, {}),
        ("POST", WORK, {"Content-Type": "text/plain"}),
        ("POST", WORK, {"Origin": EVIL}),
        ("POST", WORK, {"Origin": EVIL, "Authorization": SIGNED.format(service="lambda")}),
        ("POST", WORK, {"Origin": "null", "Authorization": SIGNED.format(service="lambda")}),
        ("POST", WORK, {"Host": "evil.example", "Authorization": SIGNED.format(service="lambda")}),
        ("POST", WORK, {"Authorization": "Bearer token"}),
        ("POST", WORK + "?X-Amz-Signature=" + 64 * "0", {}),
        ("OPTIONS", WORK, {"Origin": EVIL, "Access-Control-Request-Method": "POST"}),
        ("GET", "/live/@connections/{id}", {}),
        ("POST", "/live/@connections/{id}", {}),
        ("DELETE", "/live/@connections/{id}", {}),
        ("POST", "/@connections/{id}", {}),
        ("POST", "/live/@connections/{id}", {"Origin": EVIL}),
        ("GET", "/live/@connections/{id}", {"Host": "evil.example"}),
        ("POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}),
        ("POST", "/", {"Authorization": SIGNED.format(service="dynamodb"), "Origin": EVIL}),
        ("POST", "/", {"Authorization": SIGNED.format(service="sns")}),
        ("GET", "/moto-api/data.json", {}),
        ("POST", "/moto-api/reset", {"Authorization": SIGNED.format(service="sns")}),
    ],
)
def test_a_probe_gets_nowhere(
    gateway: Gateway, method: str, path: str, headers: dict[str, str]
) -> None:
    """No function runs, no client receives anything, nothing may be read by a page."""
    name = str(uuid4())
    with gateway.opened() as (client, connection_id):
        body = json.dumps({"by": name})

        status, _, names = answer(gateway, method, path.format(id=connection_id), body, **headers)
        client.send("still open")
        first = client.recv(timeout=PATIENCE)

    assert 400 <= status < 500
    assert first == "not JSON: still open"
    assert not [each for each in names if each.startswith("access-control")]
    assert not gateway.recorder.all(lambda told: told.kind == "work" and told.content["by"] == name)
    assert "Things-dev" in gateway.dynamodb().list_tables()["TableNames"]


@pytest.mark.parametrize("path", [WORK, "/live/@connections/abc="])
def test_an_unsigned_request_is_refused_as_aws_does(gateway: Gateway, path: str) -> None:
    """With API Gateway's and Lambda's own text."""
    status, body, _ = answer(gateway, "POST", path)

    assert (status, json.loads(body)) == (403, {"message": "Missing Authentication Token"})


def test_handshakes_are_open_to_every_origin_and_host(gateway: Gateway) -> None:
    """API Gateway looks at neither; the app's own rule decides."""
    with raw(gateway) as opened:
        opened.sendall(request_head("GET /live HTTP/1.1", *UPGRADE, f"Origin: {EVIL}"))

        assert opened.recv(12) == b"HTTP/1.1 101"


def test_one_address_serves_every_service(gateway: Gateway) -> None:
    """boto3 with `AWS_ENDPOINT_URL` alone; each service sees what the functions see."""
    session, endpoint = gateway.session(), gateway.run.variables["AWS_ENDPOINT_URL"]
    dynamodb = session.client("dynamodb", endpoint_url=endpoint)
    sqs = session.client("sqs", endpoint_url=endpoint)
    events = session.client("events", endpoint_url=endpoint)
    sns = session.client("sns", endpoint_url=endpoint)
    functions = session.client("lambda", endpoint_url=endpoint)
    api = session.client("apigatewaymanagementapi", endpoint_url=endpoint)
    large = "x" * 300_000

    dynamodb.put_item(TableName="Things-dev", Item={"id": {"S": "one"}, "text": {"S": large}})
    rows = gateway.dynamodb().scan(TableName="Things-dev")["Items"]
    dynamodb.delete_item(TableName="Things-dev", Key={"id": {"S": "one"}})
    url = sqs.create_queue(QueueName="tasks")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="do")
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    name = str(uuid4())
    functions.invoke(FunctionName="sample-dev-work", Payload=json.dumps({"by": name}))
    known = len(gateway.recorder.all(lambda told: told.kind == "news"))
    sns.publish(TopicArn=gateway.run.topics[0], Message="Hello")

    assert rows == [{"id": {"S": "one"}, "text": {"S": large}}]
    assert url.startswith(endpoint)
    assert message["Body"] == "do"
    assert events.list_event_buses()["EventBuses"][0]["Name"] == "default"
    gateway.recorder.wait(lambda told: told.kind == "work" and told.content["by"] == name)
    gateway.recorder.wait(lambda told: told.kind == "news", known + 1)
    with gateway.opened() as (client, connection_id):
        api.post_to_connection(ConnectionId=connection_id, Data=b"hi")
        assert client.recv(timeout=PATIENCE) == "hi"


def test_an_error_of_a_service_is_passed_on(gateway: Gateway) -> None:
    """With its code, for each protocol."""
    session, endpoint = gateway.session(), gateway.run.variables["AWS_ENDPOINT_URL"]
    dynamodb = session.client("dynamodb", endpoint_url=endpoint)
    sns = session.client("sns", endpoint_url=endpoint)

    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName="missing")
    with pytest.raises(sns.exceptions.NotFoundException):
        sns.publish(TopicArn="arn:aws:sns:us-east-1:123456789012:Missing", Message="x")


PAGE = """<iframe name=hidden></iframe>
<form id=form method=POST target=hidden enctype=text/plain action="GATEWAYWORK">
<input name='{"by": "NAME", "a": "' value='"}'></form>
<script>
const said = {};
async function probe(name, url, options) {
  try { const r = await fetch(url, options); said[name] = r.type + " " + r.status; }
  catch (error) { said[name] = "refused"; }
}
async function main() {
  const body = JSON.stringify({by: "NAME"});
  const signed = {Authorization: "SIGNED"};
  const name = new Promise(done => document.querySelector("iframe").onload = done);
  document.querySelector("form").submit();
  await name;
  for (const base of ["GATEWAY", "http://rebound.example:PORT"]) {
    await probe(base + " invoke", base + "WORK", {method: "POST", body});
    await probe(base + " simple", base + "WORK", {method: "POST", body, mode: "no-cors"});
    await probe(base + " signed", base + "WORK", {method: "POST", body, headers: signed});
    await probe(base + " post", base + "/live/@connections/ID", {method: "POST", body: "evil"});
    await probe(base + " blind", base + "/live/@connections/ID",
                {method: "POST", body: "evil", mode: "no-cors"});
    await probe(base + " close", base + "/live/@connections/ID", {method: "DELETE"});
  }
  for (const base of ["ENGINE", "GATEWAY"]) {
    await probe(base + " reset", base + "/moto-api/reset", {method: "POST", mode: "no-cors"});
    await probe(base + " data", base + "/moto-api/data.json");
    await probe(base + " list", base + "/", {method: "POST", body: "{}",
                headers: {"X-Amz-Target": "DynamoDB_20120810.ListTables"}});
  }
  const socket = new WebSocket("ws://127.0.0.1:PORT/live");
  socket.onopen = () => socket.send("from a page");
  socket.onerror = () => { said.websocket = "refused"; report(); };
  socket.onmessage = event => { said.websocket = event.data; report(); };
}
function report() { fetch("/", {method: "POST", body: JSON.stringify(said)}); }
main();
</script>"""


@pytest.mark.proof
def test_a_page_in_chromium_gets_nowhere_but_to_its_websocket(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Forms, fetches with and without CORS, a name rebound to this machine, moto's own API."""
    name = str(uuid4())
    with gateway.opened() as (client, connection_id):
        texts = {
            "GATEWAY": f"http://127.0.0.1:{gateway.port}",
            "ENGINE": gateway.engine,
            "PORT": str(gateway.port),
            "WORK": WORK,
            "NAME": name,
            "SIGNED": SIGNED.format(service="lambda"),
            "ID": connection_id,
        }
        html = PAGE
        for mark, text in texts.items():
            html = html.replace(mark, text)
        rebound = "--host-resolver-rules=MAP rebound.example 127.0.0.1"
        with page(html) as (url, reports), chromium(tmp_path, url, rebound):
            said = json.loads(reports.get(timeout=PATIENCE))
        client.send("still open")
        first = client.recv(timeout=PATIENCE)

    assert said.pop("websocket") == "not JSON: from a page"
    assert len(said) == 18
    assert set(said.values()) <= {"refused", "opaque 0"}, said
    assert first == "not JSON: still open"
    assert not gateway.recorder.all(lambda told: told.kind == "work" and told.content["by"] == name)
    assert "Things-dev" in gateway.dynamodb().list_tables()["TableNames"]


@pytest.mark.proof
def test_the_aws_command_line_needs_the_exports_only(gateway: Gateway, tmp_path: Path) -> None:
    """It runs in an environment of its own, because it needs another botocore.

    Version 1 does not read AWS_ENDPOINT_URL for SQS.
    """
    aws = f"{BIN}/uv tool run --quiet --from awscli==1.46.3 aws"
    script = f"""
        set -e
        eval "$({sys.executable} -m localgateway.client --port {gateway.port} env)"
        {aws} dynamodb scan --table-name Things-dev --query Count
        {aws} sns publish --topic-arn {gateway.run.topics[0]} --message Hello --query '!MessageId'
        {aws} lambda invoke --function-name sample-dev-work {tmp_path}/answer --query StatusCode
        {aws} sqs create-queue --queue-name cli --output text --endpoint-url $AWS_ENDPOINT_URL
        {aws} events list-event-buses --query 'length(EventBuses)'
        {aws} apigatewaymanagementapi post-to-connection --connection-id "$ID" --data hello
    """
    shell = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with gateway.opened() as (client, connection_id):
        result = subprocess.run(
            ["/bin/sh", "-c", script],
            env={**shell, "ID": connection_id},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=False,
            text=True,
            timeout=180,
        )
        assert result.returncode == 0, result.stderr
        assert client.recv(timeout=PATIENCE) == "hello"

    queue_url = f"http://127.0.0.1:{gateway.port}/123456789012/cli"
    assert result.stdout.split() == ["0", "false", "200", queue_url, "2"]
    assert json.loads((tmp_path / "answer").read_text()) == {"given": {}}


@pytest.mark.proof
def test_wscat_connects_and_talks(gateway: Gateway) -> None:
    """The client of Node that API Gateway's documentation uses."""
    if shutil.which("npx") is None:
        assert "CI" not in os.environ, "npx is missing: install Node"
        pytest.skip("npx is missing: install Node")
    command = ["npx", "--yes", "wscat@6.1.0", "-c", gateway.url, "-x", "hello", "-w", "30"]

    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as wscat:
        try:
            assert any("not JSON: hello" in line for line in wscat.stdout or ())
        finally:
            os.killpg(wscat.pid, signal.SIGTERM)
