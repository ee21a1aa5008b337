"""Finds out which connections are alive: by their age, then by a `GET @connections`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chalicelib.adapters import aws_clients
from chalicelib.adapters.connections_api.calls import Call
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import by_endpoint
from chalicelib.clock import now_ms
from chalicelib.domain.liveness import Verdict, is_silent, is_young, judge, judge_reply
from chalicelib.services.denials import Denials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chalicelib.adapters.connections_api.calls import Reply
    from chalicelib.adapters.connections_api.endpoint import Endpoint
    from chalicelib.clock import Deadline
    from chalicelib.domain.connection import Connection

    # None: there was no time left to look at the connection.
    Verdicts = dict[Connection, Verdict | None]

PROBES_A_SECOND = 500


@dataclass
class Prober:
    """Judges connections until `deadline`.

    `now_ms` is the epoch ms that ages are counted to, `timeout` (s) the time for one probe;
    `answers` counts the calls answered. With `silent_after_s`, a client that was not heard for
    longer is silent.
    """

    override: str
    now_ms: int
    deadline: Deadline
    probes_a_second: float | None = PROBES_A_SECOND
    timeout: float = ConnectionsApiClient.timeout
    silent_after_s: int | None = None
    answers: Denials = field(default_factory=Denials)

    @property
    def probed(self) -> int:
        """The number of calls answered."""
        return self.answers.replies

    def verdicts(self, connections: Iterable[Connection], *, young: bool = False) -> Verdicts:
        """Return a verdict for each connection. Costs one GET unless its age decides.

        Connections within the grace period are looked at only with `young`.
        """
        verdicts = {each: judge(each, self.now_ms, young=young) for each in connections}
        undecided = [connection for connection, verdict in verdicts.items() if verdict is None]
        if not self.deadline.allows(self.timeout if undecided else 0):
            return dict.fromkeys(verdicts)
        verdicts |= dict.fromkeys(undecided, Verdict.UNPROVEN)
        for endpoint, group in by_endpoint(undecided, self.override).items():
            verdicts |= self._probe(endpoint, group)
        return verdicts

    def _probe(self, endpoint: Endpoint, connections: Iterable[Connection]) -> Verdicts:
        verdicts: Verdicts = dict.fromkeys(connections)
        by_id = {connection.connection_id: connection for connection in verdicts}

        def on_reply(call: Call, reply: Reply) -> None:
            self.answers.add(reply)
            connection = by_id[call.connection_id]
            # Its handshake may have begun long after the run.
            young = is_young(connection, self.now_ms) or is_young(connection, now_ms())
            verdicts[connection] = judge_reply(
                reply.status, young, is_silent=self._is_silent(reply)
            )

        api = ConnectionsApiClient(endpoint, aws_clients.credentials(), timeout=self.timeout)
        api.send_all(
            (Call("GET", connection_id) for connection_id in by_id),
            on_reply,
            self.deadline.at,
            rate=self.probes_a_second,
        )
        return verdicts

    def _is_silent(self, reply: Reply) -> bool:
        if self.silent_after_s is None or reply.status != 200:
            return False
        # Imported only with the setting: most sweeps need not parse what they receive.
        from chalicelib.adapters.connections_api.activity import last_active_ms

        return is_silent(last_active_ms(reply.body), now_ms(), self.silent_after_s)
