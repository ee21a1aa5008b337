"""The functions in this process, with every service outside behind a proxy of its own."""

import contextlib
import io
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

import app
from chalicelib.adapters import aws_clients, sqs, token_keys
from chalicelib.variables import VARIABLES
from tests.conftest import TABLE
from tests.faults.clock import Clock, skipping
from tests.faults.proxy import Proxy, running
from tests.faults.services import REGION, SQS, ConnectionsApi, DynamoDB, EventBridge, Keys, Lambda
from tests.faults.spoiling import Spoiled
from tests.support.events import connect_event, disconnect_event
from tests.support.issuer import Issuer

BUS = "bus"
GRACE_S = 70  # past the time in which a 410 proves nothing
API_ID = "abcdef1234"


@dataclass(frozen=True)
class Context:
    """A Lambda context whose time runs by the clock."""

    clock: Clock
    limit: float
    function_name: str
    aws_request_id: str
    started: float

    def get_remaining_time_in_millis(self) -> int:
        """Return the time left in ms."""
        return max(0, round((self.started + self.limit - self.clock.now()) * 1000))


@dataclass(frozen=True)
class Invocation:
    """One invocation: what came of it, how long it took by the clock and what it logged."""

    function: str
    event: dict[str, Any]
    limit: float
    result: Any
    error: BaseException | None
    seconds: float
    output: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines. Output that is not JSON is an error."""
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def status(self) -> int | None:
        """Return the HTTP status of an answer to API Gateway, which takes an error for a 502."""
        is_in_time = self.error is None and self.seconds <= self.limit
        return self.result["statusCode"] if is_in_time else None


@dataclass(eq=False)
class Opened:
    """A connection that has opened: when (epoch ms), for whom, and whether its client left.

    `expires_at` is when its client's token expired or expires (epoch s), unless it was renewed.
    """

    client: str | None
    at_ms: int
    has_left: bool = False
    was_kicked: bool = False
    expires_at: int | None = None


@dataclass(eq=False)
class World:
    """The services, the connections that have ever opened, and all invocations so far."""

    clock: Clock
    table: DynamoDB
    bus: EventBridge
    functions: Lambda
    queue: SQS
    api: ConnectionsApi
    issuer: Issuer
    proxies: dict[str, Proxy] = field(default_factory=dict)
    connected_at: dict[str, int] = field(default_factory=dict)  # epoch ms, of each handshake
    opened: dict[str, Opened] = field(default_factory=dict)
    invocations: list[Invocation] = field(default_factory=list)
    patch: pytest.MonkeyPatch = field(default_factory=pytest.MonkeyPatch)
    told: set[str] = field(default_factory=set)

    def reset(self, settings: Mapping[str, str]) -> None:
        """Forget everything and set the environment anew."""
        self.spoil()
        self.clock.rewind()
        self.table.before = lambda _operation: None
        self.table.empty()
        self.bus.announced.clear()
        self.bus.unclaimed.clear()
        self.queue.messages.clear()
        sqs._urls.clear()
        self.functions.queued.clear()
        self.api.inboxes.clear()
        self.api.closed.clear()
        self.api.heard.clear()
        self.api.before = lambda _method, _connection_id: None
        self.connected_at.clear()
        self.opened.clear()
        self.invocations.clear()
        self.told.clear()
        self.patch.undo()
        own = [variable.name for variable in VARIABLES]
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL", *own):
            self.patch.delenv(name, raising=False)
        for name, value in {**self._environment(), **settings}.items():
            self.patch.setenv(name, value)
        token_keys.verifier.cache_clear()

    def _environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_DYNAMODB": self.proxies["dynamodb"].url,
            "AWS_ENDPOINT_URL_EVENTBRIDGE": self.proxies["eventbridge"].url,
            "AWS_ENDPOINT_URL_SQS": self.proxies["sqs"].url,
            "AWS_ENDPOINT_URL_LAMBDA": self.proxies["lambda"].url,
            "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI": self.proxies["connections"].url + "/dev",
            "CONNECTIONS_TABLE": TABLE,
            "EVENT_BUS": BUS,
        }

    def spoil(self, *spoiled: Spoiled) -> None:
        """Spoil these calls, and no others, from here on."""
        for name, proxy in self.proxies.items():
            proxy.spoil(*(each for each in spoiled if each.service == name))
            proxy.drop_connections()
        self.clock.forget()

    def seed(
        self,
        connection_id: str,
        age_s: float,
        client: str | None = None,
        *,
        lives: bool = True,
        token_s: int | None = None,
    ) -> None:
        """Write the row of a connection that opened `age_s` ago, and that still lives or not.

        Its client's token expires in `token_s`, if it has one.
        """
        at_ms = self.now_ms() - round(age_s * 1000)
        self.connected_at[connection_id] = at_ms - 5
        known = {"clientId": client, "knownClientId": client} if client else {}
        expires_at = None if token_s is None else self.now_ms() // 1000 + token_s
        expiry = {} if expires_at is None else {"expiresAt": expires_at}
        self.table.put(
            connectionId=connection_id,
            createdAt=at_ms,
            connectedAt=self.connected_at[connection_id],
            ttl=at_ms // 1000 + 86_400,
            region=REGION,
            apiId=API_ID,
            stage="dev",
            **{"clientId": "unknown", **known},
            **expiry,
        )
        self.opened[connection_id] = Opened(
            client, at_ms, has_left=not lives, expires_at=expires_at
        )
        if lives:
            self.api.inboxes[connection_id] = []

    def open(self, connection_id: str, client: str | None = None) -> None:
        """Open a connection, whose handshake has succeeded."""
        self.opened[connection_id] = Opened(client, self.now_ms())
        self.api.inboxes[connection_id] = []

    def leave(self, connection_id: str) -> None:
        """Have a client close its connection."""
        self.api.inboxes.pop(connection_id, None)
        self.opened[connection_id].has_left = True

    def now_ms(self) -> int:
        """Return the epoch time in ms."""
        return time.time_ns() // 1_000_000

    def connecting(self, connection_id: str, **given: Any) -> dict[str, Any]:
        """Return the event of a handshake that begins now."""
        event = connect_event(connection_id, **given)
        self.connected_at[connection_id] = self.now_ms()
        event["requestContext"]["connectedAt"] = self.connected_at[connection_id]
        return event

    def disconnecting(self, connection_id: str, code: int = 1001) -> dict[str, Any]:
        """Return the event of the end of a connection that ends now."""
        event = disconnect_event(connection_id, code)
        event["requestContext"]["connectedAt"] = self.connected_at.get(connection_id, 0)
        event["requestContext"]["requestTimeEpoch"] = self.now_ms()
        return event

    def invoke(self, function: str, event: dict[str, Any], limit: float = 30.0) -> Invocation:
        """Invoke a function as Lambda does."""
        number = f"request-{len(self.invocations) + 1}"
        started = self.clock.now()
        context = Context(self.clock, limit, function, number, started)
        output = io.StringIO()
        result, error = None, None
        with contextlib.redirect_stdout(output):
            try:
                result = getattr(app, function)(event, context)
            except Exception as raised:  # noqa: BLE001 - Lambda takes any
                error = raised
        seconds = self.clock.now() - started
        done = Invocation(function, event, limit, result, error, seconds, output.getvalue())
        self.invocations.append(done)
        self.clock.forget()
        return done

    def report_closed(self) -> None:
        """Deliver the `$disconnect` of each connection that the functions have closed."""
        for connection_id in self.api.closed:
            if connection_id not in self.told:
                self.told.add(connection_id)
                self.invoke("disconnect", self.disconnecting(connection_id, 1000))

    def settle(self) -> None:
        """Let the grace pass, then a complete pass of the sweep over the table."""
        self.report_closed()
        self.clock.advance(GRACE_S)
        for _ in range(2 if self.table.is_within_a_pass() else 1):
            self.invoke("sweep", {})
        self.report_closed()


@contextlib.contextmanager
def world() -> Iterator[World]:
    """Run the services and their proxies, by a clock that skips, until the end of the block."""
    clock = Clock()
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        issuer = Issuer("")
        this = World(
            clock, DynamoDB(), EventBridge(), Lambda(), SQS(), ConnectionsApi(), issuer, patch=patch
        )
        for service in (this.table, this.bus, this.functions, this.queue, this.api, Keys(issuer)):
            this.proxies[service.name] = stack.enter_context(running(service, clock))
        issuer.url = this.proxies["keys"].url

        def reopen() -> None:
            for proxy in this.proxies.values():
                proxy.listen()

        clock.on_skip = reopen
        aws_clients.session.cache_clear()
        aws_clients.client.cache_clear()
        stack.callback(aws_clients.client.cache_clear)
        stack.callback(aws_clients.session.cache_clear)
        stack.enter_context(skipping(clock))
        this.reset({})
        yield this
