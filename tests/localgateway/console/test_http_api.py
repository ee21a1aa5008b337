"""The console's HTTP: who gets what, what streams, and what actions do."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psutil
import pytest
import urllib3

from localgateway.console import agent_process
from localgateway.console.assets import FOLDER, asset
from tests.localgateway.support import PATIENCE, Gateway, closed
from tests.support.processes import children_running

ROOT = Path(__file__).resolve().parents[3]
EVIL = "https://evil.example"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
SECRET = "hunter2-and-more"
WORK = "sample-dev-work"


class Page:
    """What the page of a gateway does, without a browser."""

    def __init__(self, gateway: Gateway) -> None:
        self.base, self.token = gateway.run.console.split("#")
        self.headers = {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Get a path below the console's own."""
        return urllib3.request("GET", self.base + path, headers=self.headers | headers, timeout=60)

    def act(self, name: str, **arguments: Any) -> tuple[int, Any]:
        """Carry out an action."""
        url = f"{self.base}api/actions/{name}"
        body = json.dumps(arguments)  # with escapes, which urllib3 would not use
        answer = urllib3.request("POST", url, body=body, headers=self.headers, timeout=60)
        return answer.status, answer.json()

    @contextlib.contextmanager
    def stream(self, after: int = 0) -> Iterator[Callable[[Callable[[Any], bool]], Any]]:
        """Listen within the block; yield a function that waits for a wanted event."""
        events: list[Any] = []
        news = threading.Condition()
        parts = urlsplit(self.base)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("GET", f"{parts.path}api/stream?after={after}", headers=self.headers)
        opened = cast(socket.socket, connection.sock)
        answer = connection.getresponse()

        def read() -> None:
            with contextlib.suppress(http.client.HTTPException, OSError, ValueError):
                while line := answer.readline():
                    with news:
                        events.extend(json.loads(line).get("events", ()))
                        news.notify_all()

        def wait(wanted: Callable[[Any], bool]) -> Any:
            with news:
                assert news.wait_for(lambda: any(map(wanted, events)), PATIENCE), events
                return next(filter(wanted, events))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield wait
        finally:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            reader.join(PATIENCE)
            connection.close()


@pytest.fixture
def page(gateway: Gateway) -> Page:
    return Page(gateway)


def test_the_page_is_closed_to_everything_else(page: Page) -> None:
    """No inline code, no other address, no frame, nothing kept."""
    answer = page.get("")

    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert page.token.encode() not in answer.data


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_each_file_names_no_other_address(path: Path) -> None:
    """Everything comes from the gateway."""
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")

    assert "://" not in text.replace('https://"', "")
    assert " style=" not in text
    assert "innerHTML" not in text


@pytest.mark.parametrize("name", ["../console.py", "%2e%2e/console.py", "missing.js", "page"])
def test_only_files_of_the_page_are_served(page: Page, name: str) -> None:
    assert page.get(name).status in (401, 403, 404)
    assert asset(name) is None


@pytest.mark.parametrize("path", ["api/state", "api/stream", "api/metrics", "api/events/1"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic {token}"}, 401),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_a_stranger_gets_nothing(
    page: Page, path: str, headers: dict[str, str], status: int
) -> None:
    """Neither without the token, nor from another page, nor through a rebound name."""
    given = {name: value.format(token=page.token) for name, value in headers.items()}

    answer = page.get(path, **given)

    assert answer.status == status
    assert list(answer.json()) == ["message"]
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_stranger_cannot_act(page: Page, gateway: Gateway) -> None:
    url = f"{page.base}api/actions/open"
    for headers in ({}, {"Authorization": "Bearer x"}, page.headers | {"Origin": EVIL}):
        answer = urllib3.request("POST", url, json={"count": 1}, headers=headers, timeout=60)
        assert answer.status in (401, 403)
    assert page.get("api/actions/open").status == 405
    assert "Things-dev" in gateway.dynamodb().list_tables()["TableNames"]


def test_the_state_describes_the_run(page: Page, gateway: Gateway) -> None:
    state = page.get("api/state").json()

    functions = {each["short"]: each for each in state["functions"]}
    assert (state["app"], state["stage"], state["url"]) == ("sample", "dev", gateway.url)
    assert state["tables"] == ["Things-dev"]
    assert functions["connect"]["routes"] == ["$connect"]
    assert functions["connect"]["testName"] == "greet"
    assert functions["tick"]["schedules"] == ["rate(1 minute)"]
    assert functions["work"]["testName"] == "work"


def test_the_stream_shows_each_step_of_a_connection(page: Page, gateway: Gateway) -> None:
    """And what was published, posted and replied."""
    with page.stream() as wait, gateway.opened("?clientId=ada", user_agent_header="Eve") as opened:
        client, connection_id = opened
        handshake = wait(lambda e: e["kind"] == "handshake" and e["connectionId"] == connection_id)
        started = wait(lambda e: e["kind"] == "started" and e["connectionId"] == connection_id)
        number = started["invocation"]
        finished = wait(lambda e: e["kind"] == "finished" and e["invocation"] == number)
        client.send('{"do": "print"}')
        line = wait(lambda e: e["kind"] == "logged" and e["message"] == "printed")
        client.send("hello")
        reply = wait(lambda e: e["kind"] == "replied" and e["text"] == "not JSON: hello")
        gateway.management().post_to_connection(ConnectionId=connection_id, Data=b"posted")
        call = wait(lambda e: e["kind"] == "call" and e["text"] == "posted")
        gateway.sns().publish(TopicArn=gateway.run.topics[0], Message="Hello", Subject="Hi")
        published = wait(lambda e: e["kind"] == "reported" and e["what"] == "published")
        client.close(4001, "bye")
        left = wait(lambda e: e["kind"] == "closed" and e["connectionId"] == connection_id)
        ended = wait(lambda e: e["kind"] == "ended" and e["connectionId"] == connection_id)

    assert (handshake["userAgent"], handshake["query"]) == ("Eve", {"clientId": "ada"})
    assert (started["source"], started["route"]) == ("websocket", "$connect")
    assert (finished["status"], finished["code"]) == ("ok", 200)
    assert line["level"] == "INFO"
    assert reply["connectionId"] == connection_id
    assert (call["method"], call["status"], call["lost"]) == ("POST", 200, False)
    assert (published["fields"]["message"], published["fields"]["subject"]) == ("Hello", "Hi")
    assert (left["code"], left["reason"]) == (4001, "bye")
    assert ended["disconnect"] == "delivered"


def test_a_long_publication_does_not_end_the_reports(page: Page, gateway: Gateway) -> None:
    """It is cut within a character; the embedded AWS goes on to be heard."""
    with page.stream() as wait:
        for message in ("\ud55c" * 87_000, "afterwards"):
            gateway.sns().publish(TopicArn=gateway.run.topics[0], Message=message)
        wait(lambda e: e["kind"] == "reported" and e["fields"].get("message") == "afterwards")


def test_a_row_that_expires_is_reported(hasty: Gateway) -> None:
    row = {"id": {"S": "expiring"}, "expires": {"N": "1700000000"}}
    with Page(hasty).stream() as wait:
        hasty.dynamodb().put_item(TableName="Things-dev", Item=row)
        expired = wait(lambda e: e["kind"] == "reported" and e["what"] == "expired")

    assert expired["fields"] == {"table": "Things-dev", "key": "expiring"}


def test_credentials_are_shown_nowhere(page: Page, gateway: Gateway) -> None:
    """Neither in the stream nor in the details that people copy."""
    headers = {"Authorization": f"Bearer {SECRET}", "X-Custom": JWT}
    with (
        page.stream() as wait,
        gateway.opened(
            f"?token={SECRET}", additional_headers=headers, subprotocols=["bearer", SECRET]
        ) as (client, connection_id),
    ):
        client.send(json.dumps({"do": "echo", "text": JWT, "token": SECRET}))
        wait(lambda e: e["kind"] == "replied" and e["connectionId"] == connection_id)
        seqs = range(1, wait(lambda e: e["kind"] == "replied" and "***" in e["text"])["seq"] + 1)
        shown = "".join(page.get(f"api/events/{seq}").data.decode() for seq in seqs)

    assert connection_id in shown
    assert SECRET not in shown
    assert JWT not in shown


def test_an_event_that_is_not_kept_is_404(page: Page) -> None:
    assert page.get("api/events/99999999").status == 404
    assert page.get("api/stream?after=x").status == 400


def test_a_trial_client_talks(page: Page, gateway: Gateway) -> None:
    """It connects as any client, and each thing that happens to it is told."""
    with page.stream() as wait:
        status, answer = page.act(
            "open", count=1, client_id="zoe", origin="https://app.example", user_agent="Trial"
        )
        opened = wait(lambda e: e["kind"] == "reported" and e["fields"].get("clientId") == "zoe")
        number, connection_id = opened["fields"]["client"], opened["fields"]["connectionId"]
        shake = wait(lambda e: e["kind"] == "handshake" and e["connectionId"] == connection_id)
        sent = page.act("send", client=number, text="hello")
        received = wait(lambda e: e["kind"] == "reported" and e["fields"].get("what") == "received"
                        and e["fields"]["client"] == number)  # fmt: skip
        kicked = page.act("disconnect", connection_id=connection_id)
        left = wait(lambda e: e["kind"] == "reported" and e["fields"].get("what") == "closed")
        again = page.act("send", client=number, text="hello")

    assert (status, answer) == (200, {"result": {"opened": 1, "problem": None}})
    assert (shake["origin"], shake["userAgent"]) == ("https://app.example", "Trial")
    assert sent[0] == kicked[0] == 200
    assert received["fields"]["text"] == "not JSON: hello"
    assert left["fields"]["code"] == 1000
    assert again == (409, {"message": f"client {number} is not open"})
    assert gateway.recorder.all(lambda told: told.query.get("clientId") == "zoe")


@pytest.mark.parametrize("carrier", ["query", "header", "subprotocol"])
def test_a_trial_client_carries_a_token(page: Page, gateway: Gateway, carrier: str) -> None:
    page.act("open", count=1, client_id=f"by-{carrier}", token=SECRET, carrier=carrier)

    [told] = gateway.recorder.wait(lambda told: told.query.get("clientId") == f"by-{carrier}")
    page.act("close", client=None)

    headers = told.content["headers"]
    assert {
        "query": told.query.get("token") == SECRET,
        "header": headers.get("Authorization") == f"Bearer {SECRET}",
        "subprotocol": headers.get("Sec-WebSocket-Protocol") == f"bearer, {SECRET}",
    }[carrier]


def test_a_refused_trial_client_says_why(page: Page) -> None:
    status, answer = page.act("open", count=2, query="raise=yes")

    assert status == 200
    assert answer["result"]["opened"] == 0
    assert answer["result"]["problem"].startswith("refused with 502")


def test_publishing_and_invoking_go_through_aws(page: Page, gateway: Gateway) -> None:
    topic = gateway.run.topics[0]
    known = len(gateway.recorder.all(lambda told: told.kind == "news"))

    published = page.act(
        "publish", topic=topic, message="Hi", subject="S", attributes={"a": "b", "c": '["d"]'}
    )
    told = gateway.recorder.wait(lambda told: told.kind == "news", known + 1)[known]
    invoked = page.act("invoke", function=WORK, event={"a": 1})
    failed = page.act("invoke", function=WORK, event={"do": "raise"})

    sns = told.content["Records"][0]["Sns"]
    assert published == (200, {"result": {"messageId": sns["MessageId"]}})
    assert {name: value["Type"] for name, value in sns["MessageAttributes"].items()} == {
        "a": "String",
        "c": "String.Array",
    }
    assert json.loads(invoked[1]["result"]["payload"]) == {"given": {"a": 1}}
    assert failed[1]["result"]["failed"] is True


def test_faults_of_both_kinds_change_while_it_runs(page: Page) -> None:
    before = page.act("faults", changes={})[1]["result"]

    changed = page.act("faults", changes={"drop_posts": 0.5, "dynamodb_lag": 3})[1]["result"]
    reset = page.act("faults", changes={"drop_posts": 0, "dynamodb_lag": 0})[1]["result"]

    assert changed == before | {"drop_posts": 0.5, "dynamodb_lag": 3.0}
    assert reset == before


def test_half_a_character_is_replaced(page: Page) -> None:
    """UTF-8 has no form of it, and JSON allows it."""
    said = page.act("send", client="\ud800", text="x")

    assert said == (409, {"message": "client ? is not open"})


def test_an_execution_environment_restarts(page: Page) -> None:
    """The next event finds another process."""

    def environments() -> list[int]:
        state = page.get("api/state").json()
        [work] = [each for each in state["functions"] if each["name"] == WORK]
        return [each["id"] for each in work["environments"]]

    page.act("invoke", function=WORK, event={})
    first = environments()
    for environment in first:
        assert page.act("environment", function=WORK, environment=environment, restart=True) == (
            200,
            {"result": None},
        )
    page.act("invoke", function=WORK, event={})

    assert first
    assert environments()
    assert not set(first) & set(environments())


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("nope", {}, "there is no action 'nope'"),
        ("__init__", {}, "there is no action"),
        ("open", {"count": 0}, "count is 0; expected 1 to"),
        ("open", {"count": 1, "colour": "red"}, "colour"),
        ("open", {}, "count"),
        ("send", {"client": 99, "text": "x"}, "client 99 is not open"),
        ("close", {"client": 99}, "client 99 is not open"),
        ("disconnect", {"connection_id": "abcdefghijklmno="}, "GoneException"),
        ("invoke", {"function": "missing", "event": {}}, "Function not found"),
        ("publish", {"topic": "arn:aws:sns:us-east-1:123456789012:No", "message": "x",
                     "subject": "", "attributes": {}}, "NotFound"),
        ("publish", {"topic": "alerts", "message": "x", "subject": "", "attributes": {}},
         "publish: IndexError"),
        ("publish", {"topic": "arn:aws:sns:us-east-1:123456789012:No", "message": "x",
                     "subject": "", "attributes": ["x"]}, "publish: AttributeError"),
        ("faults", {"changes": {"nope": 1}}, "nope is 1; expected numbers for"),
        ("faults", {"changes": {"drop_posts": "much"}}, "drop_posts is 'much'"),
        ("faults", {}, "changes"),
        ("environment", {"function": WORK, "environment": 1, "restart": False},
         "has no execution environment 1"),
        ("environment", {"function": "no", "environment": 1, "restart": False}, "no function"),
    ],
)  # fmt: skip
def test_a_wrong_action_says_what_is_wrong(
    page: Page, name: str, arguments: dict[str, Any], message: str
) -> None:
    status, answer = page.act(name, **arguments)

    assert status == 409
    assert message in answer["message"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"5", b"[" * 5000])
def test_a_body_that_is_no_object_is_refused(page: Page, body: bytes) -> None:
    url = f"{page.base}api/actions/open"

    answer = urllib3.request("POST", url, body=body, headers=page.headers, timeout=60)

    assert answer.status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("events/nothing", 404),
        (f"events/{'9' * 5000}", 404),
        (f"events/{'9' * 40}", 404),
        (f"stream?after={'9' * 5000}", 400),
    ],
)
def test_what_is_no_number_of_an_event_is_refused(page: Page, path: str, status: int) -> None:
    assert page.get(f"api/{path}").status == status


@pytest.mark.proof
def test_an_agent_that_dies_is_replaced(start: Callable[..., Gateway]) -> None:
    """Who waits for it is told; its clients are gone; the next action starts another."""
    page = Page(start())
    page.act("open", count=1)
    [agent] = agents()

    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(page.act("invoke", function=WORK, event={"do": "hang"}))
    )
    asking.start()
    with page.stream() as wait:
        wait(lambda e: e["kind"] == "started" and e["function"] == WORK)
        os.kill(agent.pid, signal.SIGKILL)
        asking.join(PATIENCE)
        wait(lambda e: e["kind"] == "closed")

    assert answers == [(409, {"message": "the console's agent has ended; try again"})]
    assert page.act("open", count=1)[1]["result"]["opened"] == 1


def test_an_action_that_takes_too_long_says_so(
    page: Page, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function goes on, and the next action is answered."""
    name = "console-slow"
    page.act("close", client=None)
    monkeypatch.setattr(agent_process, "_TIMEOUT", 0.5)

    status, answer = page.act("invoke", function=WORK, event={"by": name, "do": "hold"})
    monkeypatch.undo()
    [told] = gateway.recorder.wait(lambda told: told.kind == "work" and told.content["by"] == name)
    told.release()

    assert status == 409
    assert answer["message"] == "invoke took over 0.5 s; see the timeline"
    assert page.act("invoke", function=WORK, event={})[0] == 200


def agents() -> list[psutil.Process]:
    """Return the agents of the youngest gateway in this process."""
    return children_running("localgateway.console.agent")[-1:]


def test_a_stream_does_not_hold_up_the_stop(start: Callable[..., Gateway]) -> None:
    """The fixture fails if a stop takes 8 s."""
    gateway = start()
    with Page(gateway).stream() as wait, gateway.client() as client:
        wait(lambda e: e["kind"] == "opened")
        gateway.stop()

        assert closed(client)[0] == 1001


def test_the_command_prints_the_address_again(gateway: Gateway) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "localgateway.client", f"--port={gateway.port}", "console"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
        timeout=PATIENCE,
    )

    assert said.stdout.strip() == gateway.run.console
    assert gateway.run.console in gateway.text
