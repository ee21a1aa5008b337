"""What happened, from the log of the gateway and of the functions: the records to be checked."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Socket:
    """An open connection as the gateway has it; times are epoch s."""

    opened: float
    closed: float | None = None

    def was_open(self, start: float, end: float) -> bool:
        """Return whether it was open all the time from `start` to `end`."""
        return self.opened <= start and (self.closed is None or self.closed >= end)


@dataclass(frozen=True)
class Interruption:
    """A process that was ended in the middle of its work, at `at` (epoch s)."""

    at: float
    what: str


@dataclass
class Journal:
    """The records; times are epoch s, keys are connection ids unless something else is said.

    `ends` are the times at which a connection's end was told, `guesses` those at which it was told
    without the client: the answer that had the row was lost. `clients` are the client ids,
    `connected` the times at which `$connect` told them. `failed`
    are the times at which a row could not be removed, `refused` the handshakes refused with 5xx.
    `delivered` are the reports of `notify` by notification. `latest` is the newest time read.
    """

    sockets: dict[str, Socket] = field(default_factory=dict)
    ends: dict[str, list[float]] = field(default_factory=dict)
    guesses: dict[str, list[float]] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    connected: dict[str, float] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    interruptions: list[Interruption] = field(default_factory=list)
    delivered: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    messages: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)
    latest: float = 0.0

    def read(self, text: str) -> None:
        """Take a line of the log. Lines that are not JSON are kept, some of them."""
        if not text.startswith("{"):
            self._keep(text)
            return
        try:
            line = json.loads(text)
        except ValueError:
            self._keep(text)
            return
        at = datetime.fromisoformat(line["timestamp"]).timestamp()
        self.latest = max(self.latest, at)
        self.messages[f"{line['level']} {line['message']}"] += 1
        if "requestId" in line:
            self._take_function(line, at)
        else:
            self._take_gateway(line, at)

    def stopped(self, at: float, *, killed: bool) -> None:
        """Take the end of a gateway: nothing is open any more."""
        for socket in self.sockets.values():
            if socket.closed is None:
                socket.closed = at
        if killed:
            self.interruptions.append(Interruption(at, "gateway"))

    def open_at(self, start: float, end: float) -> set[str]:
        """Return the connections that were open all the time from `start` to `end`."""
        return {name for name, each in self.sockets.items() if each.was_open(start, end)}

    def _take_gateway(self, line: dict[str, Any], at: float) -> None:
        match line["message"]:
            case "opened":
                self.sockets[line["connectionId"]] = Socket(at)
            case "closed":  # without "opened" if the client left while `$connect` ran
                self.sockets.setdefault(line["connectionId"], Socket(at)).closed = at
            case "handshake refused" if line["status"] >= 500:
                self.refused.add(line["connectionId"])
            case "invoked" if line["status"] != "ok":
                self.interruptions.append(Interruption(at, line["function"]))

    def _take_function(self, line: dict[str, Any], at: float) -> None:
        subject = str(line.get("orphanId") or line.get("closedId") or line.get("connectionId"))
        if "Closed" in line:
            is_guess = line.get("clientId") != self.clients.get(subject, line.get("clientId"))
            told = self.guesses if is_guess else self.ends
            told.setdefault(subject, []).append(at)
        match line["message"]:
            case "connected" if "row" in line:
                self.clients[subject] = line["row"]["clientId"]
                self.connected[subject] = at
            case "row not removed":
                self.failed[subject] = at
            case "notified":
                self.delivered.setdefault(line["id"], []).append(line)

    def _keep(self, text: str) -> None:
        if len(self.unread) < 1000:
            self.unread.append(text)
