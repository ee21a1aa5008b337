"""The events of the observer as the page shows them: short in lists, whole when asked for."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from localgateway.observer.events import (
    ConnectionsCall,
    Finished,
    HandshakeBegan,
    Logged,
    Replied,
    Started,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localgateway.observer.events import Event
    from localgateway.observer.observer import Entry

# In characters, of a text in a list.
SHORT = 240
_IDS = 60
_STATUS = re.compile(rb'[{ ]"statusCode": (\d+)')
# The ids of SNS messages, which notifications carry to clients.
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CAPITAL = re.compile(r"_(\w)")


def summary(entry: Entry) -> dict[str, Any]:
    """Return an entry for a list."""
    event = entry.event
    return {"seq": entry.seq, "at": entry.at, "kind": event.kind, **_short(event)}


def details(entry: Entry, related: Iterable[Entry]) -> dict[str, Any]:
    """Return the whole of an entry; of one of an invocation, the whole of that.

    `related` are the entries of the same invocation.
    """
    event = entry.event
    if not isinstance(event, Started | Finished | Logged):
        return {"fields": {name: _text(value) for name, value in _fields(event).items()}}
    shown: dict[str, Any] = {"event": None, "result": None, "lines": []}
    for each in related:
        match each.event:
            case Started(event=content):
                shown["event"] = _text(content)
            case Finished(result=result):
                shown["result"] = _text(result)
            case Logged(line=line):
                shown["lines"].append({"at": each.at, "text": _text(line)})
    return shown


def _short(event: Event) -> dict[str, Any]:
    fields = _fields(event)
    match event:
        case HandshakeBegan():
            fields = cut({**fields, "query": dict(event.query)})
        case Started():
            fields["event"] = len(event.event)
            if (body := _body(event)) is not None:
                fields["text"] = body
        case Finished():
            del fields["result"]
            fields |= _answer(event)
        case Logged():
            del fields["line"]
            fields |= _line(event.line)
        case ConnectionsCall() | Replied():
            fields |= {"text": _cut(event.text), "ids": _ids(event.text)}
        case _:
            fields = cut(fields)
    return fields


def _answer(event: Finished) -> dict[str, Any]:
    if event.status == "ok":
        found = _STATUS.search(event.result)
        return {"code": int(found[1])} if found else {}
    try:
        error = json.loads(event.result)["error"]
    except (ValueError, LookupError, TypeError):
        return {}
    return {"error": str(error).strip().rpartition("\n")[2][:SHORT]}


def _body(event: Started) -> str | None:
    """Return the message of a client, short, or None if the event is none."""
    if event.source != "websocket" or event.route in ("$connect", "$disconnect"):
        return None
    try:
        body = json.loads(event.event)["body"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return cut(body) if isinstance(body, str) else None


def _line(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("message"), str):
        text = _cut(line)
        return {"level": "ERROR" if text.startswith("[ERROR]") else "", "message": text}
    return {"level": str(record.get("level", "")), "message": record["message"][:SHORT]}


def _fields(event: Event) -> dict[str, Any]:
    return {
        _CAPITAL.sub(lambda found: found[1].upper(), field.name): getattr(event, field.name)
        for field in dataclasses.fields(event)
    }


def _ids(text: bytes) -> list[str]:
    return [each.decode() for each in dict.fromkeys(_ID.findall(text))][:_IDS]


def _cut(text: bytes) -> str:
    shown = text[: 4 * SHORT].decode(errors="replace")
    return shown if len(shown) <= SHORT else f"{shown[:SHORT]}…"


def cut(value: Any) -> Any:
    """Return a text, or an object with texts, for a list: each at most `SHORT` long."""
    if isinstance(value, dict):
        return {name: cut(each) for name, each in value.items()}
    return f"{value[:SHORT]}…" if isinstance(value, str) and len(value) > SHORT else value


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
