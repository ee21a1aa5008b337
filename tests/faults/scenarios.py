"""What each function is called for, in calm: the matrix spoils every call that it makes then."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.adapters.table import dynamodb
from chalicelib.claims import Claims
from chalicelib.domain.unclaimed import Queued, Waiting
from chalicelib.history import History
from chalicelib.services import recovery
from tests.conftest import HISTORY
from tests.faults.world import Invocation, World
from tests.support.connections import NO_DEADLINE
from tests.support.issuer import AUDIENCE
from tests.support.notifications import sns_event
from tests.support.sqs import sqs_event

CONNECT_S = 10.0  # Lambda's limits: of connect and disconnect as configured, of the others less
OTHERS_S = 30.0
CROWDED_S = 15.0
SHORT_S = 12.0  # close gives up before a slow handshake has ended
CROWD = 12


@dataclass(frozen=True, eq=False)
class Scenario:
    """One use of a function.

    `prepare` fills the world and returns the event. `settle` tells the world what the answer means
    to the client. `limit` is Lambda's for the function in seconds. In a crowd, all calls of an
    operation are spoiled. `is_told_already` says that the end was told before, so that a repeated
    delete, which finds nothing, may tell it again.
    """

    name: str
    prepare: Callable[[World], dict[str, Any]]
    settings: Mapping[str, str] = field(default_factory=dict)
    limit: float = OTHERS_S
    settle: Callable[[World, Invocation], None] = lambda _world, _invocation: None
    is_crowd: bool = False
    is_told_already: bool = False

    @property
    def function(self) -> str:
        """Return the function's name."""
        return self.name.partition(":")[0]

    @property
    def client_limit(self) -> int | None:
        """Return how many connections a client may have."""
        text = self.settings.get("MAX_CONNECTIONS_PER_CLIENT")
        return int(text) if text else None


def _connected(world: World, invocation: Invocation) -> None:
    """Open the connection if the handshake succeeded."""
    if invocation.status == 200:
        client = world.table.rows().get("new", {}).get("knownClientId")
        world.open("new", client)


def _anonymous(world: World) -> dict[str, Any]:
    return world.connecting("new")


def _second_tab(world: World) -> dict[str, Any]:
    world.seed("first", 300, "alice")
    return world.connecting("new", query={"clientId": ["alice"]})


def _third_tab(world: World) -> dict[str, Any]:
    world.seed("second", 200, "alice")
    return _second_tab(world)


def _reloaded_page(world: World) -> dict[str, Any]:
    world.seed("closed", 100, "alice", lives=False)
    return _third_tab(world)


def _with_token(world: World) -> dict[str, Any]:
    protocols = f"bearer, {world.issuer.token()}"
    return world.connecting("new", headers={"Sec-WebSocket-Protocol": [protocols]})


def _leaving(world: World) -> dict[str, Any]:
    world.seed("known", 300, "alice")
    world.leave("known")
    return world.disconnecting("known")


def _leaving_late(world: World) -> dict[str, Any]:
    world.seed("late", 300, lives=False)
    event = world.disconnecting("late")
    world.invoke("sweep", {})
    return event


def _leaving_malformed(world: World) -> dict[str, Any]:
    world.table.put(connectionId="malformed", ttl="tomorrow")
    return world.disconnecting("malformed")


def _message(world: World) -> dict[str, Any]:
    event = world.connecting("first")
    event["requestContext"] |= {"eventType": "MESSAGE", "routeKey": "$default"}
    return event | {"body": '{"action": "ping"}'}


def _asking(world: World, action: str, **fields: Any) -> dict[str, Any]:
    world.seed("first", 300, "alice")
    for number, stream in enumerate(("all", "c#alice", "all")):
        History(dynamodb(), HISTORY, NO_DEADLINE).append(
            stream, f"id {number}", '{"type":"notification"}', 3600
        )
    recovery._remembered.clear()
    event = _message(world)
    return event | {"body": json.dumps({"action": action, "n": 1, **fields})}


def _recovering(world: World) -> dict[str, Any]:
    return _asking(world, "recover", after={"all": 0, "own": {"seq": 0, "of": "alice"}})


def _acknowledging(world: World) -> dict[str, Any]:
    event = _asking(world, "ping")
    [entry] = world.table.history()["c#alice"]
    body = {"action": "received", "n": 1, "seq": int(entry["seq"])}
    return event | {"body": json.dumps(body)}


def _looking(_world: World) -> dict[str, Any]:
    log = History(dynamodb(), HISTORY, NO_DEADLINE)
    clients = [Waiting("nobody", None, is_posted=False)]
    for name in ("alice", "bob"):
        place, _ = log.append(f"c#{name}", "id", '{"type":"notification"}', 3600)
        clients.append(Waiting(name, place.seq, is_posted=False))
    Claims(log, 3600).hand_out("bob", place.seq, place.at)
    queued = Queued("id", 1, None, "hello", receipt=False, clients=tuple(clients))
    return sqs_event(queued.to_text())


def _asking_for_heads(world: World) -> dict[str, Any]:
    return _asking(world, "ping", heads=True)


def _renewing(world: World) -> dict[str, Any]:
    world.seed("first", 300, "alice", token_s=30)  # expires before the sweep that settles
    token = world.issuer.token()
    return _message(world) | {"body": json.dumps({"action": "authenticate", "token": token})}


def _expired_recovering(world: World) -> dict[str, Any]:
    world.seed("first", 300, "alice", token_s=-1)
    return _message(world) | {"body": '{"action": "recover"}'}


def _expired_and_valid(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    world.seed("expired", 240, "alice", token_s=0)
    world.seed("long expired", 260, token_s=-3600)
    world.seed("valid", 270, "alice", token_s=3600)
    return {}


def _to_expired(world: World) -> dict[str, Any]:
    _expired_and_valid(world)
    return sns_event()


def _many_expired(world: World) -> dict[str, Any]:
    for number in range(2 * CROWD):
        world.seed(f"expired{number}", 300 + number, f"client{number}", token_s=-1)
    world.seed("living", 100, "alice", token_s=3600)
    return {}


def _three_and_a_dead_one(world: World) -> None:
    world.seed("anonymous", 200)
    world.seed("first", 300, "alice")
    world.seed("second", 250, "alice")
    world.seed("dead", 280, "bob", lives=False)


def _to_all(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    return sns_event()


def _to_named(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    return sns_event(clientId=("String.Array", '["alice", "bob", "nobody"]'))


def _to_nobody(world: World) -> dict[str, Any]:
    world.seed("anonymous", 200)
    return sns_event(clientId=("String.Array", '["bob", "nobody"]'))


def _to_many_in_little_time(world: World) -> dict[str, Any]:
    for number in range(6):
        world.seed(f"c{number}", 300 + number)
    world.patch.setattr("chalicelib.services.delivery.CONCURRENCY", 2)

    def slow(method: str, _connection_id: str) -> None:
        if method == "POST":
            world.clock.advance(0.5)

    world.api.before = slow
    return sns_event()


def _kick_client(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    world.seed("gone", 220, "alice", lives=False)
    for connection_id in ("first", "second"):
        world.opened[connection_id].was_kicked = True
    return {"clientId": "alice", "reason": "signed out"}


def _kick_obedient(world: World) -> dict[str, Any]:
    event = _kick_client(world)

    def obey(method: str, connection_id: str) -> None:
        """Close before the server does, as a client that was told."""
        if method == "DELETE" and world.api.inboxes.get(connection_id):
            world.leave(connection_id)
            world.api.closed.append(connection_id)

    world.api.before = obey
    return event


def _kick_one(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    world.opened["first"].was_kicked = True
    return {"connectionId": "first", "reason": "signed out"}


def _kick_dead(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    return {"connectionId": "dead"}


def _kick_too_early(after_s: float) -> Callable[[World], dict[str, Any]]:
    def prepare(world: World) -> dict[str, Any]:
        world.seed("opening", 0.5, "alice", lives=False)
        world.opened["opening"].has_left = False
        world.opened["opening"].was_kicked = True
        opens_at = world.clock.now() + after_s

        def answers(_method: str, _connection_id: str) -> None:
            if world.clock.now() >= opens_at and "opening" not in world.api.closed:
                world.api.inboxes.setdefault("opening", [])

        world.api.before = answers
        return {"connectionId": "opening"}

    return prepare


def _opens_at_last(world: World, _invocation: Invocation) -> None:
    world.api.before = lambda _method, _connection_id: None
    if "opening" not in world.api.closed:
        world.api.inboxes.setdefault("opening", [])


def _table_of_all_kinds(world: World) -> dict[str, Any]:
    _three_and_a_dead_one(world)
    world.seed("too old", 8000, lives=False)
    world.seed("young", 10)
    return {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


def _client_over_limit(world: World) -> dict[str, Any]:
    world.seed("third", 100, "alice")
    world.seed("closed", 90, "alice", lives=False)
    return _table_of_all_kinds(world)


def _silent_clients(world: World) -> dict[str, Any]:
    for number in range(3):
        world.seed(f"silent{number}", 300 + number, "alice")
        world.api.heard[f"silent{number}"] = world.now_ms() - 100_000
    world.seed("heard", 200, "bob")
    world.api.heard["heard"] = world.now_ms() + 3_600_000  # however long the faults take
    world.seed("unknown", 100)
    return {}


def _many_tabs(world: World) -> dict[str, Any]:
    for number in range(CROWD):
        world.seed(f"tab{number}", 300 + number, "alice")
    return world.connecting("new", query={"clientId": ["alice"]})


def _kick_many(world: World) -> dict[str, Any]:
    _many_tabs(world)
    for number in range(CROWD):
        world.opened[f"tab{number}"].was_kicked = True
    return {"clientId": "alice"}


def _many_dead(world: World) -> dict[str, Any]:
    for number in range(2 * CROWD):
        world.seed(f"dead{number}", 300 + number, f"client{number}", lives=False)
    world.seed("living", 100, "alice")
    return {}


def _to_all_of_many_dead(world: World) -> dict[str, Any]:
    _many_dead(world)
    return sns_event()


def _to_many_named(world: World) -> dict[str, Any]:
    world.seed("living", 100, "alice")
    names = [*(f"absent{number}" for number in range(CROWD)), "alice"]
    return sns_event(clientId=("String.Array", json.dumps(names)))


def _many_over_limit(world: World) -> dict[str, Any]:
    for number in range(CROWD // 2):
        for tab in range(3):
            world.seed(f"c{number}-{tab}", 300 + number + tab, f"client{number}")
    return {}


def _everybody(world: World) -> dict[str, Any]:
    _table_of_all_kinds(world)
    return {}


def _one_client(world: World) -> dict[str, Any]:
    _table_of_all_kinds(world)
    return {"clientId": "alice"}


_HISTORY = {"HISTORY_TABLE": HISTORY, "RECOVER_OWN": "always"}
_WATCHED = _HISTORY | {"UNCLAIMED_QUEUE": "Q"}
_SILENT = {"KEEP_ALIVE_SECONDS": "30", "SILENT_AFTER_SECONDS": "90"}
_TOKENS = {"AUTH_ISSUER": "{issuer}", "AUTH_AUDIENCE": AUDIENCE}
_LIMIT = {"MAX_CONNECTIONS_PER_CLIENT": "2"}

SCENARIOS = (
    Scenario("connect: anonymous", _anonymous, limit=CONNECT_S, settle=_connected),
    Scenario("connect: within the limit", _second_tab, _LIMIT, CONNECT_S, _connected),
    Scenario("connect: limit exceeded", _third_tab, _LIMIT, CONNECT_S, _connected),
    Scenario("connect: page reloaded", _reloaded_page, _LIMIT, CONNECT_S, _connected),
    Scenario("connect: with a token", _with_token, _TOKENS, CONNECT_S, _connected),
    Scenario("disconnect: known", _leaving, limit=CONNECT_S),
    Scenario("disconnect: late", _leaving_late, limit=CONNECT_S, is_told_already=True),
    Scenario("disconnect: malformed row", _leaving_malformed, limit=CONNECT_S),
    Scenario("message: ping", _message, limit=CONNECT_S),
    Scenario("message: recover", _recovering, _HISTORY, limit=CONNECT_S),
    Scenario("message: recover, watched", _recovering, _WATCHED, limit=CONNECT_S),
    Scenario("message: received", _acknowledging, _WATCHED, limit=CONNECT_S),
    Scenario("message: heads", _asking_for_heads, _HISTORY, limit=CONNECT_S),
    Scenario("message: authenticate", _renewing, _TOKENS, limit=CONNECT_S),
    Scenario("message: recover, expired", _expired_recovering, _HISTORY, limit=CONNECT_S),
    Scenario("notify: some expired", _to_expired),
    Scenario("sweep: some expired", _expired_and_valid),
    Scenario("sweep: many expired", _many_expired, limit=CROWDED_S, is_crowd=True),
    Scenario("notify: all, recorded", _to_all, _HISTORY),
    Scenario("notify: named clients, recorded", _to_named, _HISTORY),
    Scenario("notify: all", _to_all),
    Scenario("notify: named clients", _to_named),
    Scenario("notify: nobody connected", _to_nobody),
    Scenario("notify: named clients, watched", _to_named, _WATCHED),
    Scenario("notify: nobody home", _to_nobody, {"UNCLAIMED_QUEUE": "Q"}),
    Scenario("unclaimed: one of three", _looking, _WATCHED),
    Scenario("notify: handed on", _to_many_in_little_time, limit=0),
    Scenario("close: a client", _kick_client),
    Scenario("close: clients that obey", _kick_obedient),
    Scenario("close: one connection", _kick_one),
    Scenario("close: a dead connection", _kick_dead),
    Scenario("close: opens after a second", _kick_too_early(1.0), settle=_opens_at_last),
    Scenario("close: opens too late", _kick_too_early(9.0), limit=SHORT_S, settle=_opens_at_last),
    Scenario("sweep: without a limit", _table_of_all_kinds),
    Scenario("sweep: a client over its limit", _client_over_limit, _LIMIT),
    Scenario("sweep: silent clients", _silent_clients, _SILENT),
    Scenario("connect: many tabs", _many_tabs, _LIMIT, CONNECT_S, _connected, is_crowd=True),
    Scenario("close: many tabs", _kick_many, limit=CROWDED_S, is_crowd=True),
    Scenario("sweep: many dead", _many_dead, limit=CROWDED_S, is_crowd=True),
    Scenario(
        "sweep: many over their limit", _many_over_limit, _LIMIT, limit=CROWDED_S, is_crowd=True
    ),
    Scenario("notify: many dead", _to_all_of_many_dead, is_crowd=True),
    Scenario("notify: many named", _to_many_named, is_crowd=True),
    Scenario("notify: many named, recorded", _to_many_named, _HISTORY, is_crowd=True),
    Scenario("connections: all", _everybody),
    Scenario("connections: a client", _one_client),
)
