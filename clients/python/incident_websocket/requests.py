"""Requests on one connection, and which answer belongs to which."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Literal, TypeAlias

from .protocol import Authenticated, Pong, Recovered, Refused

Action: TypeAlias = Literal["recover", "authenticate", "ping", "received"]
Answer: TypeAlias = Recovered | Authenticated | Pong | Refused
ANSWER_S = 10.0
TOKEN_CODES = ("bad_token", "other_client", "no_keys")


class Requests:
    """At most one request of each action is in flight; a second caller gets the same answer.

    A page that comes late is taken until the next recovery is asked for: on a slow network each one
    may be late.
    """

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._numbers = count(1)
        self._waiting: dict[Action, tuple[int, asyncio.Future[Answer]]] = {}
        self._last_recovery: int | None = None

    async def ask(self, action: Action, seconds: float = ANSWER_S, **fields: Any) -> Answer:
        """Send a request and return its answer. Raise `TimeoutError` if there is none in time."""
        if action not in self._waiting:
            number = next(self._numbers)
            self._waiting[action] = (number, asyncio.get_running_loop().create_future())
            if action == "recover":
                self._last_recovery = number
            await self._send(json.dumps({"action": action, **fields, "n": number}))
        request = self._waiting[action]
        try:
            await asyncio.wait({request[1]}, timeout=seconds)
            if not request[1].done():
                raise TimeoutError(f"no answer to {action!r} in {seconds:g} s")
            return request[1].result()
        finally:
            if self._waiting.get(action) is request:
                del self._waiting[action]

    def answered(self, message: Answer) -> bool:
        """Hand an answer to its request. Return False, and ignore it, if there is none."""
        action = self._action(message)
        if action in self._waiting:
            self._waiting.pop(action)[1].set_result(message)
        elif not isinstance(message, Recovered) or message.n != self._last_recovery:
            return False
        if isinstance(message, Recovered):
            self._last_recovery = None
        return True

    def _action(self, answer: Answer) -> Action | None:
        if isinstance(answer, Authenticated):
            return "authenticate"
        if answer.n is not None:
            numbers = {number: action for action, (number, _) in self._waiting.items()}
            return numbers.get(answer.n)
        if isinstance(answer, Pong):
            return "ping"
        if isinstance(answer, Refused):
            if answer.code in TOKEN_CODES:
                return "authenticate"
            return next(iter(self._waiting), None)  # the oldest request
        return None
