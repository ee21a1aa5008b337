"""What a soak does: how long, with how many clients, which faults, and how time is scaled."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

FAULTS = (
    "cuts",  # clients of the libraries lose their sockets
    "kicks",  # `close` is invoked for a client
    "disconnects",  # a third of the `$disconnect` events is lost
    "posts",  # every second generation of the gateway loses 2 % of the posts
    "database",  # DynamoDB fails, lags, or both, for some seconds
    "kills",  # execution environments are killed, mostly in the middle of an event
    "restarts",  # the gateway is killed, or stops, and starts again
    "reloads",  # a source file changes
    "repeats",  # SNS delivers late, in disorder and twice
)

# Seconds, where the application has 2 h, 5 min, 60 s and an hour. `$connect` may take 10 s, so the
# grace period cannot be shorter.
DURATION_S = 60
MARGIN_S = 30
GRACE_S = 15
HISTORY_S = 300
IDLE_S = 45
SWEEP_EVERY_S = 5.0
SWEEP_TIMEOUT_S = 30  # a killed sweep keeps others out for so long
CLIENT_LIMIT = 3
ENVIRONMENTS = 3
SHARED = 4  # plain clients with the same id: one more than the limit, so that it applies

_SCALED = (
    (
        "domain/connection.py",
        "MAX_DURATION_MS = 2 * 3600 * 1000",
        f"MAX_DURATION_MS = {DURATION_S * 1000}",
    ),
    ("domain/connection.py", "MARGIN_MS = 5 * 60 * 1000", f"MARGIN_MS = {MARGIN_S * 1000}"),
    ("domain/connection.py", "GRACE_S = 60", f"GRACE_S = {GRACE_S}"),
    ("settings.py", "hours * 3600", f"hours * {HISTORY_S}"),
)


@dataclass(frozen=True)
class Plan:
    """A soak of `seconds` with a number of `clients` and some of `FAULTS`.

    At the end, what is still missing may take `patience_s` to come, twice.
    """

    seconds: float
    seed: int
    clients: int = 200
    faults: frozenset[str] = frozenset(FAULTS)
    patience_s: float = SWEEP_TIMEOUT_S + 2 * GRACE_S + 120

    def random(self, part: str) -> Random:
        """Return the chance of one part, which the other parts do not change."""
        return Random(f"{self.seed} {part}")

    @property
    def names(self) -> dict[str, list[str]]:
        """The client ids of each kind. Plain clients share theirs, so that the limit applies."""
        libraries = {"python": 0.25, "node": 0.15}
        plain = {"ws": 0.3, "raw": 0.3}
        unique = {
            kind: [f"{kind}-{number}" for number in range(self._number(share))]
            for kind, share in libraries.items()
        }
        shared = {
            kind: [f"{kind}-{number // SHARED}" for number in range(self._number(share))]
            for kind, share in plain.items()
        }
        return unique | shared

    @property
    def command(self) -> str:
        """The command that repeats it."""
        return (
            f"make soak MINUTES={self.seconds / 60:g} SEED={self.seed} CLIENTS={self.clients} "
            f"FAULTS={','.join(sorted(self.faults))}"
        )

    def _number(self, share: float) -> int:
        return max(1, round(share * self.clients))


def scale(project: Path) -> None:
    """Scale the times of a copy of the project."""
    for name, text, new in _SCALED:
        change(project, name, text, new)


def change(project: Path, name: str, text: str, new: str) -> None:
    """Replace a text of a module of a copy of the project. It has to be there once."""
    path = project / "chalicelib" / name
    source = path.read_text()
    assert source.count(text) == 1, f"{name} has {text!r} {source.count(text)} times"
    path.write_text(source.replace(text, new))
