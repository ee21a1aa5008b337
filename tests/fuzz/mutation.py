"""Changes JSON where a change matters: byte by byte, most changes only break it."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

# What code forgets: the wrong type, nothing, too much, what UTF-8 or a double cannot hold.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**53, 10**400, float("inf"), float("nan"), -0.0),
    *("", " ", "x", "0", "-1", "1e999", "\ud800", "\x00", "é" * 70, "eyJhbGciOiJSUzI1NiJ9.e30.AA"),
    *([], {}, [None], [[]], {"": None}, {"Ref": "Stage"}, {"Fn::Sub": "${Stage}"}, "x" * 5000),
    *({"Condition": "A"}, {"Fn::If": ["A", 1, 2]}, {"Fn::GetAtt": ["A", "Arn"]}, {"N": "1"}),
    *({"S": "x"}, {"M": {}}, "$default", "#sweep", [{"Sns": {}}], "2024-11-11T11:35:24.561Z"),
)
DEPTH = 1200

Container = dict[str, Any] | list[Any]


def mutated(data: bytes, most: int, seed: int) -> bytes | None:
    """Return other JSON of at most `most` bytes, or None if `data` is no JSON of some size."""
    try:
        whole = json.loads(data)
    except (RecursionError, ValueError):
        return None
    if not isinstance(whole, (dict, list)):
        return None
    random = Random(seed)
    for _ in range(random.randint(1, 3)):
        places = list(_places(whole))
        if places:
            _change(random, *random.choice(places), places)
    try:
        text = json.dumps(whole)
    except RecursionError:
        return None
    if random.random() < 0.01:
        text = text.replace("null", "[" * DEPTH + "]" * DEPTH, 1)
    changed = text.encode()
    return changed if len(changed) <= most else None


def _places(value: Any) -> Iterator[tuple[Container, Any]]:
    """Yield each place in a value: its container, and its key or index."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield value, key
            yield from _places(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield value, index
            yield from _places(inner)


def _change(random: Random, within: Any, key: Any, places: list[tuple[Container, Any]]) -> None:
    if isinstance(within, dict) and key not in within:
        return  # an earlier change took it
    if isinstance(within, list) and key >= len(within):
        return
    other, other_key = random.choice(places)
    try:
        copied = json.loads(json.dumps(other[other_key]))
    except (LookupError, RecursionError):
        copied = None
    match random.randrange(6):
        case 0:
            del within[key]
        case 1:
            within[key] = copied
        case 2 if isinstance(within, dict):
            within[random.choice((str(other_key), "Ref", "Condition", "Properties"))] = copied
        case 3 if isinstance(within, list):
            within.append(copied)
        case _:
            within[key] = json.loads(json.dumps(random.choice(ODD)))
