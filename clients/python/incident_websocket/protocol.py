"""The messages that the server sends, parsed. The client's own are built where they are sent."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from .position import Position, Stream, is_number, parse_position


@dataclass(frozen=True)
class Notification:
    """A notification. Times are epoch ms.

    Without a `seq` it is not in the history: it was shown at once and cannot be recovered.
    """

    id: str
    sent_at: int
    subject: str | None
    message: Any
    stream: Stream | None = None
    seq: int | None = None
    prev: int | None = None
    recorded_at: int | None = None
    receipt: bool = False
    recovered: bool = False


@dataclass(frozen=True)
class Gap:
    """Notifications of `stream` that are lost: those numbered over `after`, up to `to`.

    They have left the history. If `to` is under `after`, the position was of another history.
    """

    stream: Stream
    after: int
    to: int


@dataclass(frozen=True)
class Goodbye:
    """Why the server closes the connection, and whether to come back, after how many seconds."""

    reason: str
    message: str | None
    reconnect: bool
    after_seconds: float = 0


@dataclass(frozen=True)
class Advice:
    """What the server asks of clients."""

    keep_alive_seconds: float | None = None
    spread_seconds: float | None = None


@dataclass(frozen=True)
class Recovered:
    """A page of notifications, and the position after it."""

    n: int
    notifications: tuple[Notification, ...]
    position: Position
    more: bool
    client_id: str | None
    advice: Advice = field(default_factory=Advice)

    @property
    def heads(self) -> dict[Stream, int]:
        """The number of each stream in `position`."""
        heads: dict[Stream, int] = {}
        if "own" in self.position:
            heads["own"] = self.position["own"]["seq"]
        if "all" in self.position:
            heads["all"] = self.position["all"]
        return heads


@dataclass(frozen=True)
class Pong:
    """The answer to a ping; with `heads` the newest number of each stream."""

    n: int | None = None
    heads: dict[Stream, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Authenticated:
    """The connection has a new token, which expires at this time (s since the epoch)."""

    expires_at: float | None


@dataclass(frozen=True)
class Refused:
    """An error. The code is `try_again` for those of API Gateway itself, which have no type."""

    message: str
    code: str | None = None
    n: int | None = None


Message: TypeAlias = Notification | Recovered | Pong | Authenticated | Goodbye | Refused


def parse(text: str | bytes) -> Message | None:
    """Return a message, None for an unknown type. Raise `ValueError` if it is malformed."""
    try:
        fields = json.loads(text)
        return _parsed(fields)
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError(f"malformed message {text[:200]!r} ({error!r})") from error


def _parsed(fields: dict[str, Any]) -> Message | None:
    n, client_id = fields.get("n"), fields.get("clientId")
    if not (n is None or is_number(n)) or not isinstance(client_id, str | None):
        raise TypeError("n or clientId is wrong")
    match fields.get("type"):
        case "notification":
            return _notification(fields)
        case "recovered":
            advice = fields.get("advice") or {}
            return Recovered(
                n=fields["n"],
                notifications=tuple(_recovered(each) for each in fields["notifications"]),
                position=parse_position(fields["position"]),
                more=fields["more"] is True,
                client_id=client_id,
                advice=Advice(
                    _seconds(advice.get("keepAliveSeconds")), _seconds(advice.get("spreadSeconds"))
                ),
            )
        case "pong":
            heads = fields.get("heads") or {}
            return Pong(n, {key: heads[key] for key in _streams(heads)})
        case "authenticated":
            return Authenticated(_seconds(fields.get("expiresAt")))
        case "goodbye":
            return Goodbye(
                reason=str(fields["reason"]),
                message=fields.get("message"),
                reconnect=fields["reconnect"] is not False,
                after_seconds=_seconds(fields.get("afterSeconds")) or 0,
            )
        case "error":
            return Refused(str(fields.get("message")), fields.get("code"), n)
        case None if "message" in fields:
            return Refused(str(fields["message"]), "try_again")
    return None


def _streams(heads: dict[str, Any]) -> list[Stream]:
    names: tuple[Stream, ...] = ("own", "all")
    return [name for name in names if is_number(heads.get(name))]


def _notification(fields: dict[str, Any]) -> Notification:
    known = Notification(
        id=str(fields["id"]),
        sent_at=fields["sentAt"],
        subject=fields.get("subject"),
        message=fields["message"],
    )
    if fields.get("seq") is None:
        return known
    stream, seq, prev = fields["stream"], fields["seq"], fields["prev"]
    if stream not in {"all", "own"} or not is_number(seq) or not is_number(prev) or prev >= seq:
        raise TypeError("stream, seq and prev are not a place in a stream")
    return replace(
        known,
        stream=stream,
        seq=seq,
        prev=prev,
        recorded_at=fields.get("recordedAt"),
        receipt=fields.get("receipt") is True,
    )


def _recovered(fields: dict[str, Any]) -> Notification:
    notification = replace(_notification(fields), recovered=True)
    if notification.seq is None:
        raise TypeError("a recovered notification has no seq")
    return notification


def _seconds(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    return None
