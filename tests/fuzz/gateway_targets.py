"""What a client sends to the local gateway: HTTP, WebSocket frames, bodies, lines of functions."""

import asyncio
import functools
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from uvicorn.server import ServerState

from localgateway import one_address
from localgateway.access import Access
from localgateway.api_gateway.connections import Registry
from localgateway.api_gateway.connections_api import connections_api
from localgateway.api_gateway.events import Api
from localgateway.api_gateway.faults import Faults
from localgateway.api_gateway.http_protocol import HttpSocket
from localgateway.api_gateway.server import configuration
from localgateway.api_gateway.settings import ApiSettings
from localgateway.api_gateway.timeouts import Timeouts
from localgateway.api_gateway.websocket_api import WebSocketApi
from localgateway.console.actions import Actions
from localgateway.console.errors import ActionError
from localgateway.console.http_api import PREFIX, ConsoleApi
from localgateway.console.summaries import summary
from localgateway.console.watch import Watch
from localgateway.faults_api import serve_faults
from localgateway.forwarding import Forwarder
from localgateway.lambda_runtime.invoke_api import Invocations
from localgateway.log_format import pretty
from localgateway.observer.masking import masked_text
from localgateway.observer.observer import Observer

if TYPE_CHECKING:
    import uvicorn

STAGE, HOST, ACCESS_KEY = "dev", "127.0.0.1:8765", "AKIDKEY"
PATIENCE_S = 5.0
# A socket answers with more than it was sent only by the heads of its responses.
ANSWER_BYTES = 256 * 1024
HANDSHAKE = (
    f"GET /{STAGE} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
SIGNED = (
    "AWS4-HMAC-SHA256 Credential={key}/20250101/eu-west-1/{service}/aws4_request, "
    f"SignedHeaders=host, Signature={'0' * 64}"
)
# Whose signature a body goes with, by its first byte, and where.
SERVED = (
    ("localgateway", "/@faults"),
    ("lambda", "/2015-03-31/functions/notify/invocations"),
    ("execute-api", f"/{STAGE}/@connections/id%3D"),
)
TOKEN = "token-of-the-run"
SECRET = b"hunter2-and-more"
# What a page asks of the console, by the first byte: a path to read, or an action to carry out.
ASKED = (
    "events/",
    "stream?after=",
    "",
    *(f"actions/{name}" for name in ("open", "faults", "environment")),
)
NOWHERE = "http://127.0.0.1:9"  # nothing listens there


class UnexpectedError(AssertionError):
    """The gateway logged an error, or a task of its event loop ended with one."""


class Wire(asyncio.Transport):
    """The socket of a client that reads at once, and that may close."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8765)})
        self.protocol: Any = None
        self.is_closed = False
        self.written = 0

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def write(self, data: Any) -> None:
        self.written += len(data)

    def write_eof(self) -> None:
        """Keep reading."""

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        """Go on: all of the bytes are here already."""

    resume_reading = pause_reading

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: there is no buffer."""


class Alarm(logging.Handler):
    """Keeps what the gateway and uvicorn log as an error, with its exception."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[tuple[str, BaseException | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.found.append((record.getMessage(), error))


class Gateway:
    """The gateway's HTTP and WebSocket protocols and applications, on an event loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.alarm = Alarm()
        self.loop.set_exception_handler(self._failed)
        for name in ("localgateway", "uvicorn", "asyncio"):
            logger = logging.getLogger(name)
            logger.addHandler(self.alarm)
            logger.propagate = False
        self.config: uvicorn.Config = configuration(_application(), 100)
        self.config.load()

    def receive(self, *parts: bytes) -> None:
        """Receive bytes on a new socket, part by part, then its end; raise `UnexpectedError`."""
        self.alarm.found.clear()
        self.loop.run_until_complete(asyncio.wait_for(self._receive(parts), PATIENCE_S))
        if self.alarm.found:
            text, error = self.alarm.found[0]
            raise UnexpectedError(text) from error

    async def _receive(self, parts: tuple[bytes, ...]) -> None:
        state, wire = ServerState(), Wire()
        protocol = HttpSocket(self.config, state, {}, self.loop)
        wire.set_protocol(protocol)
        protocol.connection_made(wire)
        for part in parts:
            if part and not wire.is_closed:
                wire.protocol.data_received(part)
            await _quiet()
        if not wire.is_closed:
            wire.protocol.eof_received()
        wire.protocol.connection_lost(None)
        while state.tasks:
            await asyncio.wait(state.tasks)
        assert wire.written <= sum(map(len, parts)) * 4 + ANSWER_BYTES, "answers without end"

    def _failed(self, _loop: Any, context: dict[str, Any]) -> None:
        self.alarm.found.append((context["message"], context.get("exception")))


async def _quiet() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


def _application() -> Any:
    registry, faults, observer = Registry(100), Faults(), Observer()
    api = Api(STAGE, HOST, 8765)
    timeouts = Timeouts(600, 7200)
    settings = ApiSettings("eu-west-1", {})
    websockets = WebSocketApi(api, {}, registry, timeouts, faults, settings, observer)
    agent: Any = _Agent()
    actions = Actions(agent, faults, dict)
    console = ConsoleApi(TOKEN, observer, Watch(observer, agent, ()), actions, dict)
    http = one_address.OneAddress(
        Access(),
        STAGE,
        connections_api(STAGE, registry, faults, observer),
        Invocations({}).application(),
        Forwarder(NOWHERE),
        functools.partial(serve_faults, faults),
        ACCESS_KEY,
        console.application(),
    )

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (websockets if scope["type"] == "websocket" else http)(scope, receive, send)

    return application


class _Agent:
    """Has no process: it takes what can be passed to one, and refuses to act."""

    async def ask(self, action: str, **arguments: Any) -> Any:
        json.dumps({"action": action, "arguments": arguments})
        raise ActionError("no agent runs here")


@functools.cache
def gateway() -> Gateway:
    """Return the gateway of this process."""
    return Gateway()


def http_sockets(data: bytes) -> None:
    """Send any bytes on a new socket: they are answered or dropped."""
    gateway().receive(data)
    middle = len(data) // 2
    gateway().receive(data[:middle], data[middle:])


def http_bodies(data: bytes) -> None:
    """Send any body with a signed request: it is answered."""
    service, path = SERVED[data[0] % len(SERVED)] if data else SERVED[0]
    body = data[1:]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: {SIGNED.format(key=ACCESS_KEY, service=service)}\r\n\r\n"
    )
    gateway().receive(head.encode() + body)


def console_requests(data: bytes) -> None:
    """Ask anything of the console, with its token: it is answered."""
    asked, rest = (ASKED[data[0] % len(ASKED)], data[1:]) if data else (ASKED[0], b"")
    is_action = asked.startswith("actions/")
    line = f"{'POST' if is_action else 'GET'} {PREFIX}api/{asked}".encode()
    head = f" HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
    if is_action:
        gateway().receive(line + head + f"Content-Length: {len(rest)}\r\n\r\n".encode() + rest)
    else:
        gateway().receive(line + rest + head + b"\r\n")


def websocket_frames(data: bytes) -> None:
    """Send any bytes behind a handshake: they are messages, or close the connection."""
    gateway().receive(HANDSHAKE, data)
    middle = len(data) // 2
    gateway().receive(HANDSHAKE, data[:middle], data[middle:])


def function_lines(data: bytes) -> None:
    """Observe any event, and any line that a function prints."""
    observer = Observer()
    observer.logged("notify", 1, data)
    observer.metrics.add(data, 0.0)
    shown = [summary(each) for each in observer.after(0, 10)]
    json.dumps([shown, observer.metrics.shown(0.0)], allow_nan=False)
    pretty("notify", data.decode(errors="replace"), datetime.now(UTC))
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return
    observer.started("notify", event, data)


def masking(data: bytes) -> None:
    """Mask any text, alone and before a field with a credential, which is left nowhere."""
    masked_text(data)
    text = data.decode("latin-1")
    event = json.dumps({"before": text, "token": SECRET.decode()})
    for each in (event, json.dumps({"body": event})):
        is_told = SECRET in masked_text(each.encode())
        assert not is_told or SECRET in data, "told a credential"
