"""The services outside: a table, a bus, Lambda's Invoke, `@connections` and an issuer's keys."""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from provision.template import load_tables
from tests.conftest import HISTORY, ROOT, TABLE
from tests.faults.proxy import Answer, Request
from tests.faults.spoiling import Fault
from tests.support.issuer import Issuer

REGION = "eu-west-1"
ACCOUNT = "123456789012"
JSON = ("Content-Type", "application/x-amz-json-1.0")


def _target(request: Request) -> str:
    return request.headers["x-amz-target"].rpartition(".")[2]


def _failure(codes: dict[Fault, tuple[int, str]], fault: Fault) -> Answer:
    status, code = codes[fault]
    body = json.dumps({"__type": code, "message": "spoiled"}).encode()
    return Answer(status, body, (JSON, ("x-amzn-ErrorType", code)))


class DynamoDB:
    """moto's DynamoDB with the project's tables. `before` is told of each call of a function."""

    name = "dynamodb"
    is_native = False
    pieces: int | None = 4
    _codes: ClassVar = {
        Fault.THROTTLE: (400, "com.amazonaws.dynamodb.v20120810#ThrottlingException"),
        Fault.ERROR: (500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
        Fault.DENY: (400, "com.amazon.coral.service#AccessDeniedException"),
    }

    def __init__(self) -> None:
        self.before: Any = lambda _operation: None
        self._application = create_backend_app("dynamodb")
        self._lock = threading.Lock()  # moto's operations are not atomic across threads
        get_backend("dynamodb").reset()
        for definition in load_tables(ROOT / ".chalice" / "resources.json", {"Stage": "dev"}):
            indexes = {"GlobalSecondaryIndexes": definition.indexes} if definition.indexes else {}
            self.call(
                "CreateTable",
                TableName=definition.name,
                KeySchema=definition.key_schema,
                AttributeDefinitions=definition.attributes,
                BillingMode=definition.billing_mode,
                **indexes,
            )

    def operation(self, request: Request) -> str:
        """Return the name of DynamoDB's operation."""
        return _target(request)

    def answer(self, request: Request) -> Answer:
        """Carry a call out."""
        self.before(self.operation(request))
        return self._answer(request)

    def _answer(self, request: Request) -> Answer:
        environ = EnvironBuilder(
            request.path, method="POST", headers=[*request.headers.items()], data=request.body
        ).get_environ()
        with self._lock:
            body, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        checksum = ("x-amz-crc32", headers.get("x-amz-crc32", ""))
        return Answer(int(status.partition(" ")[0]), b"".join(body), (JSON, checksum))

    def failure(self, fault: Fault) -> Answer:
        """Return DynamoDB's answer to a call that it does not carry out."""
        return _failure(self._codes, fault)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Carry out a call of the test itself."""
        scope = f"test/20250101/{REGION}/dynamodb/aws4_request"
        headers = {
            "x-amz-target": f"DynamoDB_20120810.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature=",
            "content-type": JSON[1],
        }
        answer = self._answer(Request("POST", "/", headers, json.dumps(arguments).encode()))
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def put(self, **attributes: str | int) -> None:
        """Write a row."""
        item = {
            name: {"N": str(value)} if isinstance(value, int) else {"S": value}
            for name, value in attributes.items()
        }
        self.call("PutItem", TableName=TABLE, Item=item)

    def rows(self) -> dict[str, dict[str, str]]:
        """Return the rows of connections by id, without the sweep's own."""
        items = self.call("Scan", TableName=TABLE)["Items"]
        rows = [
            {name: next(iter(value.values())) for name, value in item.items()} for item in items
        ]
        return {row["connectionId"]: row for row in rows if not row["connectionId"].startswith("#")}

    def is_within_a_pass(self) -> bool:
        """Return whether the sweep has stopped in the middle of the table."""
        key = {"connectionId": {"S": "#sweep"}}
        return "start" in self.call("GetItem", TableName=TABLE, Key=key).get("Item", {})

    def history(self) -> dict[str, list[dict[str, Any]]]:
        """Return the entries of each stream, in order."""
        streams: dict[str, list[dict[str, Any]]] = {}
        for item in self.call("Scan", TableName=HISTORY)["Items"]:
            entry = {name: next(iter(value.values())) for name, value in item.items()}
            if int(entry["seq"]) > 0:
                streams.setdefault(entry["stream"], []).append(entry)
        return {
            name: sorted(entries, key=lambda each: int(each["seq"]))
            for name, entries in streams.items()
        }

    def claims(self) -> dict[tuple[str, int], bool]:
        """Return the claims by stream and number: whether the entry was acknowledged."""
        items = self.call("Scan", TableName=HISTORY)["Items"]
        return {
            (item["stream"]["S"], -int(item["seq"]["N"])): item["received"]["BOOL"]
            for item in items
            if int(item["seq"]["N"]) < 0
        }

    def empty(self) -> None:
        """Remove every row."""
        for item in self.call("Scan", TableName=HISTORY)["Items"]:
            key = {"stream": item["stream"], "seq": item["seq"]}
            self.call("DeleteItem", TableName=HISTORY, Key=key)
        for item in self.call("Scan", TableName=TABLE)["Items"]:
            key = {"connectionId": item["connectionId"]}
            self.call("DeleteItem", TableName=TABLE, Key=key)


@dataclass
class EventBridge:
    """A bus. The details of the events on it, in order: `announced` ends, and `unclaimed` ones."""

    announced: list[dict[str, Any]] = field(default_factory=list)
    unclaimed: list[dict[str, Any]] = field(default_factory=list)
    name: str = "eventbridge"
    is_native: bool = False
    pieces: int | None = 4

    def operation(self, request: Request) -> str:
        """Return the name of EventBridge's operation."""
        return _target(request)

    def answer(self, request: Request) -> Answer:
        """Put the events on the bus."""
        entries = json.loads(request.body)["Entries"]
        for entry in entries:
            is_end = entry["DetailType"] == "Connection Closed"
            (self.announced if is_end else self.unclaimed).append(json.loads(entry["Detail"]))
        answered = [{"EventId": str(number)} for number, _ in enumerate(entries)]
        body = json.dumps({"FailedEntryCount": 0, "Entries": answered}).encode()
        return Answer(200, body, (JSON,))

    def failure(self, fault: Fault) -> Answer:
        """Return EventBridge's answer to a call that it does not carry out."""
        codes = {
            Fault.THROTTLE: (400, "ThrottlingException"),
            Fault.ERROR: (500, "InternalException"),
            Fault.DENY: (400, "AccessDeniedException"),
        }
        return _failure(codes, fault)


@dataclass
class SQS:
    """The queue of notifications that may have reached nobody; `messages` are the bodies in it."""

    messages: list[str] = field(default_factory=list)
    name: str = "sqs"
    is_native: bool = False
    pieces: int | None = 4

    def operation(self, request: Request) -> str:
        """Return the name of SQS's operation."""
        return _target(request)

    def answer(self, request: Request) -> Answer:
        """Answer `GetQueueUrl`, or store the message of `SendMessage`."""
        fields = json.loads(request.body)
        if self.operation(request) == "GetQueueUrl":
            body = {
                "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{fields['QueueName']}"
            }
        else:
            self.messages.append(fields["MessageBody"])
            body = {"MessageId": "m", "MD5OfMessageBody": "x"}
        return Answer(200, json.dumps(body).encode(), (JSON,))

    def failure(self, fault: Fault) -> Answer:
        """Return SQS's answer to a call that it does not carry out."""
        codes = {
            Fault.THROTTLE: (400, "RequestThrottled"),
            Fault.ERROR: (500, "InternalFailure"),
            Fault.DENY: (400, "AccessDeniedException"),
        }
        return _failure(codes, fault)


@dataclass
class Lambda:
    """Lambda's Invoke; `queued` are the events of asynchronous invocations."""

    queued: list[dict[str, Any]] = field(default_factory=list)
    name: str = "lambda"
    is_native: bool = False
    pieces: int | None = 4

    def operation(self, _: Request) -> str:
        """Return the operation."""
        return "Invoke"

    def answer(self, request: Request) -> Answer:
        """Queue the event."""
        self.queued.append(json.loads(request.body))
        return Answer(202)

    def failure(self, fault: Fault) -> Answer:
        """Return Lambda's answer to a call that it does not carry out."""
        codes = {
            Fault.THROTTLE: (429, "TooManyRequestsException"),
            Fault.ERROR: (500, "ServiceException"),
            Fault.DENY: (403, "AccessDeniedException"),
        }
        return _failure(codes, fault)


@dataclass
class ConnectionsApi:
    """`@connections` of the stage `dev`, and the connections themselves.

    `inboxes` are the messages that each open connection has received. `closed` are the ids that a
    DELETE has closed. `heard` says when a client was last active, in epoch ms. `slow` is told of
    each POST before it is answered.
    """

    inboxes: dict[str, list[bytes]] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    opening: dict[str, float] = field(default_factory=dict)
    before: Any = lambda _method, _connection_id: None
    name: str = "connections"
    is_native: bool = True
    pieces: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def operation(self, request: Request) -> str:
        """Return the method and the id."""
        return f"{request.method} {self._id(request)}"

    def answer(self, request: Request) -> Answer:
        """Answer as API Gateway does."""
        connection_id = self._id(request)
        self.before(request.method, connection_id)
        with self._lock:
            if connection_id not in self.inboxes:
                return Answer(410, b'{"message": "Gone"}', (("x-amzn-ErrorType", "GoneException"),))
            if request.method == "DELETE":
                del self.inboxes[connection_id]
                self.closed.append(connection_id)
                return Answer(204)
            if request.method == "POST":
                self.inboxes[connection_id].append(request.body)
            if request.method == "GET" and connection_id in self.heard:
                at = datetime.fromtimestamp(self.heard[connection_id] / 1000, UTC)
                return Answer(200, json.dumps({"lastActiveAt": at.isoformat()}).encode())
            return Answer(200, b"{}")

    def failure(self, fault: Fault) -> Answer:
        """Return API Gateway's answer to a call that it does not carry out."""
        codes = {
            Fault.THROTTLE: (429, "LimitExceededException"),
            Fault.ERROR: (500, "InternalServerErrorException"),
            Fault.DENY: (403, "ForbiddenException"),
        }
        return _failure(codes, fault)

    def _id(self, request: Request) -> str:
        return unquote(request.path.rpartition("/")[2])


@dataclass
class Keys:
    """The server of an issuer's keys."""

    issuer: Issuer
    name: str = "keys"
    is_native: bool = False
    pieces: int | None = None

    def operation(self, request: Request) -> str:
        """Return the method."""
        return request.method

    def answer(self, request: Request) -> Answer:
        """Publish the keys."""
        status, body = self.issuer.answer(request.path)
        return Answer(status, body, (JSON,))

    def failure(self, fault: Fault) -> Answer:
        """Return the answer of a server that does not serve the keys."""
        return Answer({Fault.THROTTLE: 429, Fault.ERROR: 500, Fault.DENY: 403}[fault], b"no")
