"""The project's numbers, and the two that one would try first."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from chalicelib.domain.history import ALL, Head, Place, following
from incident_websocket.merge import Merge
from incident_websocket.protocol import Notification, Recovered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from incident_websocket.merge import Step


class _Sorted:
    """Readers that stand at the highest key that they have seen, and drop repeats by id."""

    write_units: int

    def __init__(self, window: float = 0.0) -> None:
        self._window = window
        self._entries: list[tuple[float, int]] = []
        self._keys: dict[int, float] = {}
        self._stands: defaultdict[int, float] = defaultdict(float)
        self._seen: defaultdict[int, dict[int, float]] = defaultdict(dict)

    def repeats(self, publication: int) -> bool:  # noqa: ARG002 - nothing is looked up
        """Return whether the publication is recorded."""
        return False

    def post(self, reader: int, publication: int) -> bool:
        """Take a post."""
        self._show(reader, self._keys[publication], publication)
        return False

    def recover(self, reader: int) -> None:
        """Read what is above the position."""
        start = bisect.bisect_right(self._entries, (self._stands[reader] - self._window, 1 << 60))
        for key, publication in self._entries[start:]:
            self._show(reader, key, publication)

    def shown(self, reader: int) -> list[int]:
        """Return the publications in the order of the reader."""
        return list(self._seen[reader])

    def disorder(self, reader: int) -> int:
        """Return how many came after one with a higher key."""
        return _inversions(list(self._seen[reader].values()))

    def _written(self, key: float, publication: int) -> None:
        bisect.insort(self._entries, (key, publication))
        self._keys.setdefault(publication, key)

    def _show(self, reader: int, key: float, publication: int) -> None:
        self._stands[reader] = max(self._stands[reader], key)
        self._seen[reader].setdefault(publication, key)


class TimeStamps(_Sorted):
    """The writer's clock; a reader reads the last `window` seconds again."""

    write_units = 1

    def begin(self, publication: int, now: float, clock: float) -> Callable[[float], None]:
        """Begin to record a publication."""
        del now
        return lambda _: self._written(clock, publication)


class Counter(_Sorted):
    """An atomic counter, then the entry."""

    write_units = 2

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)

    def begin(self, publication: int, now: float, clock: float) -> Callable[[float], None]:
        """Begin to record a publication."""
        del now, clock
        number = next(self._numbers)
        return lambda _: self._written(number, publication)


class Chain:
    """The number and the entry in one transaction; the project's own rules on both sides."""

    write_units = 4

    def __init__(self) -> None:
        self._head: Head | None = None
        self._entries: list[tuple[Place, int]] = []
        self._places: dict[int, Place] = {}
        self._merges: defaultdict[int, Merge] = defaultdict(Merge)
        self._given: defaultdict[int, list[Notification]] = defaultdict(list)
        self.gaps = 0

    def begin(self, publication: int, now: float, clock: float) -> Callable[[float], None]:
        """Begin to record a publication."""
        del now

        def commit(_: float) -> None:
            if self._head and self._head.find(str(publication)):
                return  # another run was faster
            before = self._head.seq if self._head else 0
            self._head = following(self._head, ALL, str(publication), round(1e12 + clock * 1000))
            place = Place(ALL, self._head.seq, before, self._head.at)
            self._entries.append((place, publication))
            self._places[publication] = place

        return commit

    def repeats(self, publication: int) -> bool:
        """Return whether the publication is recorded."""
        return bool(self._head and self._head.find(str(publication)))

    def post(self, reader: int, publication: int) -> bool:
        """Take a post."""
        merge = self._merges[reader]
        self._give(reader, merge.live(_entry(self._places[publication], publication)))
        return merge.holding

    def recover(self, reader: int) -> None:
        """Read what is above the position."""
        merge = self._merges[reader]
        asked = merge.position
        after = asked["all"] if asked and "all" in asked else None
        head = self._head.seq if self._head else 0
        entries = [] if after is None else self._entries[self._index(after) :]
        answer = Recovered(
            n=0,
            notifications=tuple(_entry(place, publication) for place, publication in entries),
            position={"all": head},
            more=False,
            client_id=None,
        )
        self._give(reader, merge.recovered(answer, asked))

    def shown(self, reader: int) -> list[int]:
        """Return the publications in the order of the reader."""
        return [int(entry.id) for entry in self._given[reader]]

    def disorder(self, reader: int) -> int:
        """Return how many came after one with a higher key."""
        return _inversions([entry.seq or 0 for entry in self._given[reader]])

    def _index(self, after: int) -> int:
        return bisect.bisect_right(self._entries, after, key=lambda each: each[0].seq)

    def _give(self, reader: int, steps: Iterable[Step]) -> None:
        for step in steps:
            if isinstance(step.item, Notification):
                self._given[reader].append(step.item)
            elif step.item is not None:
                self.gaps += 1


def _entry(place: Place, publication: int) -> Notification:
    return Notification(str(publication), 0, None, None, "all", place.seq, place.prev, place.at)


def _inversions(keys: list[float] | list[int]) -> int:
    """Return how many keys came after a higher one."""
    highest, found = float("-inf"), 0
    for key in keys:
        found += key < highest
        highest = max(highest, key)
    return found
