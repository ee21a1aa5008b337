"""A day of very many connections, second by second.

Nothing is followed on its own: at 300 million pings a day, discrete events would take hours. Each
second moves numbers of connections from one state to the next, and draws what is up to chance. So
a day takes a second or two, and agrees with the closed formulas in the tests.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.cost.model import CONNECT_S, DISCONNECT_S, HEADS_S, RECOVER_S
from bench.scale.counted import counted
from bench.scale.deliveries import Deliveries
from bench.scale.draws import Draws
from bench.scale.limits import Limit, Limits
from bench.scale.load import Load, Pressure, Sample, Total
from bench.scale.model import READ_UNIT_BYTES
from bench.scale.recovery import LONGEST_S, PING_S
from bench.scale.sweeping import Sweeping

if TYPE_CHECKING:
    from collections.abc import Mapping

SPREAD_S = 5  # over which clients spread their reconnects, as the server tells them
# The mean delay of a client that was refused: back-off with full jitter up to 60 s.
RETRY_S = 30.0


@dataclass
class Day:
    """A day as it goes. `run` returns it when it is over."""

    load: Load
    limits: Limits = field(default_factory=Limits)
    seed: int = 1
    totals: defaultdict[Total, float] = field(default_factory=lambda: defaultdict(float))
    pressure: dict[Limit, Pressure] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    all_back: float | None = None  # s after the end of the outage
    missed_units: float = 0.0  # read units of what clients had missed
    missed_bytes: float = 0.0

    def __post_init__(self) -> None:
        self.pressure = {limit: Pressure() for limit in Limit}
        self._draws = Draws(self.seed)
        self.units = counted()
        # Connections by the second in which they opened, as if nothing had ended since.
        self._survival = 1.0
        self.open = float(self.load.clients)
        self._births = deque([(self.open / LONGEST_S, 1.0)] * LONGEST_S)
        self._arriving: deque[float] = deque([0.0] * SPREAD_S)
        self.fresh = self.refused = self.returning = 0.0
        self.asking = self.unanswered = 0.0  # clients that recover, and that were told to try again
        self.environments = 0.0
        self._connecting = 0.0
        self._answered = 1.0  # the share of pings that passed in the second before
        self.deliveries = Deliveries(self.load)
        self.sweeping = Sweeping(self.limits.probes)

    @property
    def away(self) -> float:
        """The clients that are not connected."""
        return self.fresh + self.refused + self.returning + sum(self._arriving)

    def run(self) -> Day:
        """Live through the day."""
        for second in range(self.load.seconds):
            self._step(second)
        return self

    def _step(self, now: int) -> None:
        outage = self.load.outage
        if outage and outage[0] <= now < self.load.back_from:
            if now == outage[0]:
                self._lose_everything()
            self._sample(now, 0.0, 0.0)
            return
        ends = self._end()
        self._return(now)
        pings = self._draws.poisson(self.open / PING_S) * (2 - self._answered)
        attempts = self.fresh + self.refused / RETRY_S
        recoveries = self.asking + self.unanswered / RETRY_S
        messages = pings + recoveries
        passed = self._share(Limit.STAGE, now, attempts + messages, self.limits.stage_requests)
        wanted = attempts * passed
        wanted *= self._share(Limit.HANDSHAKES, now, wanted, self.limits.handshakes)
        probes = self.sweeping.wanted(now)
        posts = self.deliveries.wanted(now, self.open + self.sweeping.orphans)
        allowed = self._share(
            Limit.ACCOUNT,
            now,
            wanted + messages * passed + probes + posts,
            self.limits.account_requests,
        )
        self.sweeping.step(now, probes * allowed, self.open)
        removed = self.deliveries.step(
            now, posts * allowed, self.sweeping.orphans, self.open + self.sweeping.orphans
        )
        self.sweeping.remove(removed)
        busy = ends * DISCONNECT_S + passed * allowed * (pings * HEADS_S + recoveries * RECOVER_S)
        accepted = self._served(now, wanted * allowed, busy, ends)
        self._recover(now, recoveries, passed * allowed)
        self._admit(now, accepted, attempts)
        self._ping(pings, passed * allowed)
        sent = accepted + messages * passed * allowed
        self._sample(now, sent + probes * allowed, posts * allowed)

    def _share(self, limit: Limit, now: int, asked: float, allowed: float) -> float:
        """Return the share of what is asked that a limit lets pass, and note what it refuses."""
        met = self.pressure[limit]
        met.most = max(met.most, asked)
        if asked <= allowed:
            return 1.0
        met.first = now if met.first is None else met.first
        met.refused += asked - allowed
        return allowed / asked

    def _end(self) -> float:
        """End the connections that are 2 hours old, or that break."""
        opened, survival = self._births.popleft()
        aged = min(self.open, opened * self._survival / survival)
        self.open -= aged
        dropped = self._draws.binomial(self.open, self.load.drops / 3600)
        self._survive(dropped)
        ended = aged + dropped
        orphaned = self._draws.binomial(ended, self.load.lost)
        share = dropped / ended if ended else 0.0
        self.sweeping.orphan(orphaned * (1 - share), LONGEST_S)
        self.sweeping.orphan(orphaned * share, LONGEST_S / 2)
        for place in range(SPREAD_S):
            self._arriving[place] += ended / SPREAD_S
        self.totals[Total.ENDS] += ended - orphaned
        self.totals[Total.ORPHANED] += orphaned
        return ended - orphaned

    def _survive(self, ending: float) -> None:
        if self.open > 0:
            self._survival *= 1 - ending / self.open
        self.open -= ending
        if self._survival < 1e-9:  # nothing is left of what opened before
            self._births = deque([(0.0, 1.0)] * len(self._births))
            self._survival = 1.0

    def _lose_everything(self) -> None:
        self.sweeping.orphan(self.open, LONGEST_S / 2)
        self.totals[Total.ORPHANED] += self.open
        self.returning = self.away + self.open
        self._survive(self.open)
        self._births = deque([(0.0, 1.0)] * LONGEST_S)
        self._arriving = deque([0.0] * SPREAD_S)
        self.fresh = self.refused = self.asking = self.unanswered = 0.0

    def _return(self, now: int) -> None:
        """Let clients come back that are due."""
        self.fresh += self._arriving.popleft()
        self._arriving.append(0.0)
        if self.returning and now >= self.load.back_from:
            left = max(1.0, self.load.back_from + self.load.return_s - now)
            coming = self.returning / left
            self.returning -= coming
            self.fresh += coming

    def _served(self, now: int, wanted: float, busy: float, ends: float) -> float:
        """Return the handshakes that Lambda and DynamoDB carry out.

        `busy` are the environments of the other functions.
        """
        room = max(0.0, self.limits.environments - busy)
        asked = busy + wanted * CONNECT_S
        accepted = wanted * self._share(Limit.ENVIRONMENTS, now, asked, self.limits.environments)
        accepted = min(accepted, room / CONNECT_S)
        ready = self._connecting + self.limits.new_environments
        accepted *= self._share(Limit.SCALING, now, accepted * CONNECT_S, ready)
        self._connecting = max(self._connecting, accepted * CONNECT_S)
        connect, disconnect = self.units.connect, self.units.disconnect
        writes = accepted * connect.writes + ends * disconnect.writes
        accepted *= self._share(Limit.TABLE, now, writes, self.limits.table_writes)
        busiest = accepted * connect.index_writes + ends * disconnect.index_writes
        accepted *= self._share(Limit.KEY, now, busiest * self.load.busiest, self.limits.key_writes)
        self.environments = busy + accepted * CONNECT_S
        return accepted

    def _admit(self, now: int, accepted: float, attempts: float) -> None:
        self.open += accepted
        self._births.append((accepted, self._survival))
        self.refused = max(0.0, self.refused + self.fresh - accepted)
        self.fresh = 0.0
        self.asking += accepted
        self.totals[Total.HANDSHAKES] += accepted
        self.totals[Total.REFUSED] += attempts - accepted
        self.totals[Total.CONNECTION_S] += self.open
        waiting = self.all_back is None and now > self.load.back_from
        if waiting and self.away < 0.001 * self.load.clients:
            self.all_back = now - self.load.back_from

    def _recover(self, now: int, recoveries: float, passed: float) -> None:
        asked = recoveries * passed
        missed = self.load.missed(now)
        units = math.ceil(missed / READ_UNIT_BYTES)
        hot = self.units.recover.hot_reads + units
        served = asked * self._share(Limit.STREAM, now, asked * hot, self.limits.stream_reads)
        self.unanswered = max(0.0, self.unanswered + self.asking - served)
        self.asking = 0.0
        self.missed_units += served * units
        self.missed_bytes += served * missed
        self.totals[Total.RECOVERIES] += served

    def _ping(self, pings: float, passed: float) -> None:
        """Count pings. A client sends one again, and gives up when the second is not answered."""
        self.totals[Total.PINGS] += pings * passed
        self.totals[Total.THROTTLED] += pings * (1 - passed)
        given_up = self.open * (1 - passed) ** 2 / PING_S
        self._survive(given_up)
        self._arriving[-1] += given_up
        self.totals[Total.GIVEN_UP] += given_up
        self.totals[Total.ENDS] += given_up
        self._answered = passed

    def _sample(self, now: int, requests: float, posts: float) -> None:
        if now % 10 == 0:
            self.samples.append(
                Sample(
                    now,
                    self.open,
                    self.away,
                    self.sweeping.orphans,
                    requests,
                    posts,
                    self.environments,
                    self.sweeping.lag(now),
                )
            )

    def broken(self) -> Mapping[Limit, float]:
        """Return the limits that refused anything, by the time, the first one first."""
        found = {limit: met.first for limit, met in self.pressure.items() if met.first is not None}
        if (late := self.sweeping.first_late) is not None:
            found[Limit.SWEEP] = late
        return dict(sorted(found.items(), key=lambda item: item[1]))
