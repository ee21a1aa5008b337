"""Converts the texts of environment variables.

Every parser raises `ValueError` for an invalid text, `InvalidError` to say why.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from chalicelib.domain.origins import origin_problem

T = TypeVar("T")

# A century: far beyond any use, and within the range of every epoch timestamp.
MAX_TTL_HOURS = 876_000
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# A token of RFC 2616, which RFC 6455 requires: printable ASCII without separators.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
# A FIFO queue, whose name has a dot, cannot delay single messages.
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class InvalidError(ValueError):
    """A value is invalid for a reason that its description does not make plain."""


def some_text(text: str) -> str:
    """Return a text that is not empty."""
    if not text:
        raise ValueError
    return text


def hours_in_seconds(text: str) -> int:
    """Return a positive number of hours in s, rounded up."""
    hours = float(text)
    if not 0 < hours <= MAX_TTL_HOURS:  # NaN fails every comparison
        raise ValueError
    return math.ceil(hours * 3600)


def log_level(text: str) -> str:
    """Return the name of a level of `logging`, in any case."""
    return _one_of(text.upper(), LOG_LEVELS)


def any_text(text: str) -> str:
    """Return the text."""
    return text


def address(text: str) -> str:
    """Return a URL with HTTPS, one with HTTP on this machine, or an empty text."""
    parts = urlsplit(text)
    local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if text and not (parts.hostname and (parts.scheme == "https" or local)):
        raise ValueError
    return text


@functools.lru_cache(maxsize=8)
def origins(text: str) -> tuple[str, ...]:
    """Return comma-separated origins in lower case."""
    found = tuple(item.lower() for item in _items(text))
    for origin in found:
        problem = origin_problem(origin)
        if problem:
            raise InvalidError(f"{origin}: {problem}")
    return found


@functools.lru_cache(maxsize=8)
def subprotocols(text: str) -> tuple[str, ...]:
    """Return comma-separated WebSocket subprotocols."""
    names = _items(text)
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise InvalidError(f"{name!r} is not a token as RFC 6455 requires")
    return names


def true_or_false(text: str) -> bool:
    """Return whether the text is true, in any case."""
    return {"true": True, "false": False}[_one_of(text.lower(), ("true", "false"))]


def choice(*accepted: str) -> Callable[[str], str]:
    """Return a parser of `accepted` words, given in any case."""
    return lambda text: _one_of(text.lower(), accepted)


def queue(text: str) -> str:
    """Return the name of a standard queue, or an empty text."""
    if text and not _QUEUE_NAME.fullmatch(text):
        raise ValueError
    return text


def limit(text: str) -> int | None:
    """Return a positive integer, or None for an empty text."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ValueError
    return int(text)


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of integers from `low` to `high`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ValueError
        return int(text)

    return parse


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """Return `parse` for texts that are not empty; an empty one is None."""
    return lambda text: parse(text) if text else None


def _items(text: str) -> tuple[str, ...]:
    items = tuple(item.strip() for item in text.split(",") if item.strip())
    if text and not items:
        raise InvalidError("there is nothing between the commas")
    return items


def _one_of(text: str, accepted: tuple[str, ...]) -> str:
    if text not in accepted:
        raise ValueError
    return text
