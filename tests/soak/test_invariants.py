"""Each breach that is put into records is found, and what only looks like one is not."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from tests.soak.invariants import (
    Breach,
    Delivery,
    Life,
    Look,
    Series,
    of_addressees,
    of_ends,
    of_limit,
    of_plain,
    of_processes,
    of_rows,
    of_sweep,
)
from tests.soak.journal import Interruption, Journal, Socket
from tests.soak.plan import CLIENT_LIMIT, GRACE_S
from tests.soak.slopes import FEWEST, WARM_UP

SAMPLES = round(FEWEST / (1 - WARM_UP)) + 10
TOLD = [130.0]


def kinds(breaches: Iterable[Breach]) -> set[str]:
    return {each.kind for each in breaches}


def journal(**sockets: Socket) -> Journal:
    """Return a journal in which the end of each closed connection was told once."""
    ends = {name: [each.closed + 1] for name, each in sockets.items() if each.closed is not None}
    return Journal(dict(sockets), ends)


@pytest.mark.parametrize(
    ("socket", "first", "second", "expected"),
    [
        (Socket(50), {}, {}, {"live connection without a row"}),
        (Socket(50), {"a": 50.0}, {}, set()),  # it may have just ended
        (Socket(50), {}, {"a": 50.0}, set()),
        (Socket(50, 105), {}, {}, set()),
        (Socket(99.5), {}, {}, set()),  # it has just opened
    ],
)
def test_a_live_connection_without_a_row(
    socket: Socket, first: dict[str, float], second: dict[str, float], expected: set[str]
) -> None:
    looks = Look(100, 101, first), Look(112, 113, second)

    assert kinds(of_rows(journal(a=socket), *looks)) == expected


DUE = 100.0 - GRACE_S - 2


@pytest.mark.parametrize(
    ("socket", "created", "failed", "expected"),
    [
        (Socket(DUE, 95), DUE, {}, {"row left by the sweep"}),
        (None, DUE, {}, {"row left by the sweep"}),  # of a handshake that was refused
        (Socket(DUE, 95), DUE, {"a": 101.0}, set()),  # the log says why
        (Socket(DUE, 95), DUE, {"a": 99.0}, {"row left by the sweep"}),
        (Socket(DUE, 99.5), DUE, {}, set()),  # it ended while the sweep began
        (Socket(DUE + 5, 95), DUE + 5, {}, set()),  # in the grace period
        (Socket(DUE), DUE, {}, set()),
    ],
)
def test_a_row_that_the_sweep_should_have_removed(
    socket: Socket | None, created: float, failed: dict[str, float], expected: set[str]
) -> None:
    records = journal(**({"a": socket} if socket else {}))
    records.failed |= failed

    assert kinds(of_sweep(records, 100.0, Look(110, 111, {"a": created}))) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(CLIENT_LIMIT, set()), (CLIENT_LIMIT + 1, {"ada"})]
)
def test_too_many_connections_of_a_client(number: int, expected: set[str]) -> None:
    open_long, too_young = Socket(50), Socket(90)
    sockets = {f"c{each}": open_long for each in range(number)}
    records = journal(**sockets, young=too_young, gone=Socket(50, 110))
    records.clients = dict.fromkeys(records.sockets, "ada")

    found = list(of_limit(records, 100.0, Look(120, 121, {})))

    assert {each.found.partition(":")[0] for each in found} == expected


def untold(records: Journal) -> None:
    records.ends.clear()


def untold_after_a_kill(records: Journal) -> None:
    records.ends.clear()
    records.interruptions.append(Interruption(121, "sweep"))


def untold_after_a_kill_elsewhere(records: Journal) -> None:
    records.ends.clear()
    records.interruptions.append(Interruption(300, "sweep"))


def untold_after_a_lost_answer(records: Journal) -> None:
    records.ends.clear()
    records.failed["a"] = 123


def untold_long_after_a_lost_answer(records: Journal) -> None:
    records.ends.clear()
    records.failed["a"] = 60


def many_untold_after_one_kill(records: Journal) -> None:
    records.sockets |= {f"c{number}": Socket(50, 120) for number in range(20)}
    untold_after_a_kill(records)


def told_twice(records: Journal) -> None:
    records.ends["a"] = [120, 121]


def told_twice_while_dynamodb_failed(records: Journal) -> None:
    records.ends["a"] = [399, 401]


def told_twice_just_after_dynamodb_failed(records: Journal) -> None:
    records.ends["a"] = [414, 415]


def told_twice_long_after_dynamodb_failed(records: Journal) -> None:
    records.ends["a"] = [416, 417]


def told_by_a_guess(records: Journal) -> None:
    records.guesses["a"] = records.ends.pop("a")


def told_twice_once_by_a_guess(records: Journal) -> None:
    records.guesses["a"] = [120]


def told_while_it_lives(records: Journal) -> None:
    records.sockets["a"].closed = None


def told_of_one_that_never_opened(records: Journal) -> None:
    records.ends["b"] = TOLD


def told_of_one_that_was_refused(records: Journal) -> None:
    told_of_one_that_never_opened(records)
    records.refused.add("b")


def told_of_one_whose_gateway_was_killed(records: Journal) -> None:
    told_of_one_that_never_opened(records)
    records.stopped(140, killed=True)


def told_of_many_that_a_kill_interrupted(records: Journal) -> None:
    told_of_one_whose_gateway_was_killed(records)
    records.ends |= {f"c{number}": TOLD for number in range(9)}
    records.connected |= {f"c{number}": 139.5 for number in range(9)}


def told_of_one_that_connected_long_before_a_kill(records: Journal) -> None:
    told_of_many_that_a_kill_interrupted(records)
    records.connected["c1"] = 100


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda _: None, set()),
        (untold, {"end not told"}),
        (untold_after_a_kill, set()),
        (untold_after_a_kill_elsewhere, {"end not told"}),
        (untold_after_a_lost_answer, set()),
        (untold_long_after_a_lost_answer, {"end not told"}),
        (many_untold_after_one_kill, {"end not told"}),
        (told_twice, {"end told twice"}),
        (told_twice_while_dynamodb_failed, set()),
        (told_twice_just_after_dynamodb_failed, set()),
        (told_twice_long_after_dynamodb_failed, {"end told twice"}),
        (told_by_a_guess, set()),
        (told_twice_once_by_a_guess, set()),
        (told_while_it_lives, {"end of a live connection told"}),
        (told_of_one_that_never_opened, {"end of a connection that never opened"}),
        (told_of_one_that_was_refused, set()),
        (told_of_one_whose_gateway_was_killed, set()),
        (told_of_many_that_a_kill_interrupted, set()),
        (
            told_of_one_that_connected_long_before_a_kill,
            {"end of a connection that never opened"},
        ),
    ],
)
def test_each_end_is_told_once(spoil: Callable[[Journal], None], expected: set[str]) -> None:
    records = journal(a=Socket(50, 120))
    spoil(records)

    assert kinds(of_ends(records, {"a": (119.0, 123.0)}, [(400.0, 410.0)])) == expected


DELIVERY = Delivery("n", None, first=100, start=101, end=103, unsent=0)
LATER = Delivery("later", None, first=110, start=110, end=111, unsent=0)
HEARD = frozenset({"later"})


@pytest.mark.parametrize(
    ("delivery", "life", "lossy", "expected"),
    [
        (DELIVERY, Life("ada", 90, HEARD), (), {"notification lost"}),
        (DELIVERY, Life("ada", 90, HEARD | {"n"}), (), set()),
        (DELIVERY, Life("ada", 90, frozenset()), (), set()),  # it may have died before
        (DELIVERY, Life("ada", 90, frozenset(), heard=104), (), {"notification lost"}),
        (DELIVERY, Life("ada", 90, frozenset(), heard=102), (), set()),
        (DELIVERY, Life("ada", 102, HEARD), (), set()),  # it opened meanwhile
        (DELIVERY, Life("ada", 90, HEARD), [(90.0, 101.5)], set()),
        (DELIVERY, Life("ada", 90, HEARD), [(90.0, 100.5)], {"notification lost"}),
        (replace(DELIVERY, unsent=1), Life("ada", 90, HEARD), (), set()),  # the log says so
        (replace(DELIVERY, client_ids=("ada",)), Life("ada", 90, HEARD), (), {"notification lost"}),
        (replace(DELIVERY, client_ids=("bob",)), Life("ada", 90, HEARD), (), set()),
    ],
)
def test_a_plain_client_that_lost_a_notification(
    delivery: Delivery, life: Life, lossy: list[tuple[float, float]], expected: set[str]
) -> None:
    assert kinds(of_plain([delivery, LATER], [life], lossy)) == expected


@pytest.mark.parametrize(
    ("client_ids", "expected"),
    [(None, set()), (("ada",), set()), (("bob",), {"notification of another client"})],
)
def test_a_notification_that_reached_another_client(
    client_ids: tuple[str, ...] | None, expected: set[str]
) -> None:
    delivery = replace(DELIVERY, client_ids=client_ids)

    assert kinds(of_addressees([delivery], [Life("ada", 90, frozenset({"n"}))])) == expected


def test_a_process_that_grows() -> None:
    """It leaks a file a minute and 20 kB a sample; threads come and go."""
    times = [float(number) for number in range(40 * 60)]
    values = {
        "memory": [50e6 + 2e4 * time for time in times],
        "files": [20 + time // 60 for time in times],
        "threads": [3 + time % 2 for time in times],
    }

    assert kinds(of_processes([Series("leaking", times, values)])) == {
        "memory grows",
        "files grows",
    }


def test_a_process_that_lived_too_short_is_not_judged() -> None:
    times = [float(number) for number in range(20)]
    growing = [1e6 * time for time in times]
    values = {"memory": growing, "files": growing, "threads": growing}

    assert kinds(of_processes([Series("short", times, values)])) == set()
