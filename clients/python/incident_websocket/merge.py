"""The merge rule: live and recovered notifications become one sequence, each once and in order.

A stream is a chain: each entry names the number of the one before it (`prev`). An entry is given
when it joins the position; otherwise it is held until a recovery brings what is missing, or tells
that it is gone. Nothing here does I/O or knows the time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .position import Position, Stream
from .protocol import Gap, Notification, Recovered

REMEMBERED_IDS = 4096
MOST_HELD = 1000  # a recovery brings the rest again


@dataclass(frozen=True)
class Step:
    """What comes next: an item for the consumer, a new position, or both.

    `seq` is the position in `stream` once the item is finished; `of` is the client of `own`.
    `receipt` is the number to acknowledge then.
    """

    item: Notification | Gap | None
    stream: Stream | None = None
    seq: int | None = None
    of: str | None = None
    receipt: int | None = None


class GivenIds:
    """The ids of the last notifications given, and the number of each, if it has one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int | None] = {}

    def take(self, entry: Notification) -> Step:
        """Return a step with the entry, if its id is new, and the number to acknowledge.

        A repeat under another number is not given, but acknowledged: the first one may have come
        before it was recorded.
        """
        is_new = entry.id not in self._numbers
        is_asked = entry.receipt and self._numbers.get(entry.id) != entry.seq
        if is_new or entry.seq is not None:
            self._numbers[entry.id] = entry.seq
        if len(self._numbers) > REMEMBERED_IDS:
            del self._numbers[next(iter(self._numbers))]
        return Step(entry if is_new else None, receipt=entry.seq if is_asked else None)


class StreamMerge:
    """One stream. `pos` is the number of the newest entry given, None before the first answer."""

    def __init__(self, name: Stream, pos: int | None, ids: GivenIds, of: str | None = None) -> None:
        self.name, self.pos, self.of = name, pos, of
        self.held: dict[int, Notification] = {}
        self._ids = ids
        self._forgotten: int | None = None

    def forget(self) -> None:
        """Start anew, because the server refuses the position. The next answer tells the gap."""
        self.pos, self._forgotten = None, self.pos

    def hold(self, entry: Notification) -> None:
        """Keep a live entry that may not be given yet."""
        if self.pos is None or _seq(entry) > self.pos:
            self.held[_seq(entry)] = entry
            if len(self.held) > MOST_HELD:
                del self.held[max(self.held)]

    def joining(self) -> Iterator[Step]:
        """Yield the held entries that join the position."""
        while self.held and self.pos is not None:
            entry = self.held[min(self.held)]
            if _seq(entry) > self.pos and not self._joins(entry):
                return
            yield from self._take(entry)

    def release(self) -> Iterator[Step]:
        """Yield all held entries: no history tells what is missing before them."""
        for entry in sorted(self.held.values(), key=_seq):
            if self.pos is None:
                self.pos = _prev(entry)
            if _seq(entry) > self.pos and not self._joins(entry):
                yield self._gap(_prev(entry) or _seq(entry) - 1)
            yield from self._take(entry)

    def page(
        self, entries: Sequence[Notification], asked: int | None, position: int, more: bool
    ) -> Iterator[Step]:
        """Yield the entries of a page that answers a recovery from `asked`.

        The position may stay under the page's: then another recovery brings what is missing.
        """
        starting = self.pos is None
        end = position if not more else max(map(_seq, entries), default=0)
        known = {seq: held for seq, held in self.held.items() if seq <= end}
        known |= {_seq(entry): entry for entry in entries}
        if self.pos is None:  # go on from here; entries that came live before the answer count
            before, self._forgotten = self._forgotten, None
            self.pos = min((_prev(entry) for entry in known.values()), default=position)
            yield self._step(None if before is None else Gap(self.name, before, self.pos))
        for seq in sorted(known):
            if seq > self.pos and not self._joins(known[seq]):
                if starting:
                    return
                yield self._gap(_prev(known[seq]) or seq - 1)
            yield from self._take(known[seq])
        if not more and asked is not None and (position > self.pos or position < asked):
            yield self._gap(position)
        yield from self.joining()

    def _joins(self, entry: Notification) -> bool:
        """Return whether nothing is missing before an entry. `prev` is 0 in the first one ever."""
        prev, pos = _prev(entry), self.pos or 0
        return 0 < prev <= pos or pos == prev == 0

    def _take(self, entry: Notification) -> Iterator[Step]:
        self.held.pop(_seq(entry), None)
        if _seq(entry) > (self.pos or 0):
            self.pos = _seq(entry)
            yield replace(self._ids.take(entry), stream=self.name, seq=self.pos, of=self.of)

    def _gap(self, to: int) -> Step:
        gap = Gap(self.name, self.pos or 0, to)
        self.pos = to
        return self._step(gap)

    def _step(self, item: Gap | None) -> Step:
        return Step(item, self.name, self.pos, self.of)


class Merge:
    """Both streams of a reader. With `order` false live entries are given as they come."""

    def __init__(self, position: Position | None = None, *, order: bool = True) -> None:
        known = position or {}
        self._order = order
        self._ids = GivenIds()
        self._all = StreamMerge("all", known.get("all"), self._ids)
        own = known.get("own")
        self._own = StreamMerge("own", own and own["seq"], self._ids, own and own["of"])
        self._early: list[Notification] = []  # of `own`, before it is known whose that is

    def opened(self) -> None:
        """Begin with a new connection, which may be another client's."""
        self._early.clear()

    @property
    def position(self) -> Position | None:
        """The position to recover from, None before the first answer."""
        position: Position = {}
        if self._all.pos is not None:
            position["all"] = self._all.pos
        if self._own.pos is not None and self._own.of is not None:
            position["own"] = {"seq": self._own.pos, "of": self._own.of}
        return position or None

    @property
    def holding(self) -> bool:
        """Whether entries wait for others that are missing."""
        return bool(self._all.held or self._own.held)

    def forget(self) -> None:
        """Start anew, because the server refuses the position. The next answer tells the gap."""
        self._all.forget()
        self._own.forget()

    def behind(self, heads: Mapping[Stream, int]) -> bool:
        """Return whether a stream has gone on without this reader."""
        streams = {stream.name: stream.pos for stream in (self._own, self._all)}
        return any(head > (streams[name] or 0) for name, head in heads.items())

    def live(self, entry: Notification, *, known_client: bool = True) -> Iterator[Step]:
        """Merge a notification that was posted.

        Until the first answer on a connection it is not known whose the stream `own` is.
        """
        if entry.stream is None:
            yield from self._at_once(entry)
            return
        stream = self._own if entry.stream == "own" else self._all
        stream.hold(entry)
        if not self._order and _seq(entry) in stream.held:
            yield from self._at_once(entry)
        if known_client or stream is self._all:
            yield from stream.joining()
        elif len(self._early) < MOST_HELD:
            self._early.append(entry)

    def _at_once(self, entry: Notification) -> Iterator[Step]:
        step = self._ids.take(entry)
        if step.item is not None or step.receipt is not None:
            yield step

    def release(self) -> Iterator[Step]:
        """Give all that is held: without a history, what is missing never comes."""
        yield from self._own.release()
        yield from self._all.release()

    def recovered(self, answer: Recovered, asked: Position | None) -> Iterator[Step]:
        """Merge a page that answers a recovery from `asked`."""
        asked = asked or {}
        if self._own.of not in {None, answer.client_id}:
            self._own = StreamMerge("own", None, self._ids)
            for entry in self._early:
                self._own.hold(entry)
        self._early.clear()
        self._own.of = answer.client_id
        own, asked_own = answer.position.get("own"), asked.get("own")
        if own is None:  # the history does not have this client's stream
            yield from self._own.release()
        if own is not None and own["of"] == answer.client_id:
            same = asked_own is not None and asked_own["of"] == answer.client_id
            number = asked_own["seq"] if asked_own is not None and same else None
            entries = _of("own", answer.notifications)
            yield from self._own.page(entries, number, own["seq"], answer.more)
        if "all" in answer.position:
            entries = _of("all", answer.notifications)
            yield from self._all.page(
                entries, asked.get("all"), answer.position["all"], answer.more
            )


def _of(stream: Stream, entries: Iterable[Notification]) -> list[Notification]:
    return [entry for entry in entries if entry.stream == stream]


def _seq(entry: Notification) -> int:
    return entry.seq or 0


def _prev(entry: Notification) -> int:
    return entry.prev or 0
