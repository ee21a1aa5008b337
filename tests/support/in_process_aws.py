"""moto and botocore in the process of the tests: safe for threads, and cheap to start.

Each test has new clients and an empty moto. Without this, making them is most of a test's time.
"""

import functools
import threading
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from botocore import hooks
from moto.core import models
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib.adapters import aws_clients

LOADER = botocore.loaders.create_loader()
OWN_LOADER = aws_clients.OwnServices()


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Prepare both for as long as `patch` lasts."""
    _take_turns(patch)
    _remember(patch)


def _take_turns(patch: pytest.MonkeyPatch) -> None:
    """Keep threads apart: a transaction of moto copies tables that others may change."""
    process = BotocoreStubber.process_request
    turn = threading.RLock()  # a service of moto may call another one

    def process_in_turn(self: BotocoreStubber, request: Any) -> Any:
        with turn:
            return process(self, request)

    patch.setattr(BotocoreStubber, "process_request", process_in_turn)


def _remember(patch: pytest.MonkeyPatch) -> None:
    """Keep what every session and every client would find out again."""
    patch.setattr(aws_clients, "OwnServices", lambda: OWN_LOADER)
    patch.setattr(botocore.session, "create_loader", lambda *_: LOADER)
    # A session registers more than a hundred handlers.
    aliaser: Any = hooks.EventAliaser
    alias = functools.cache(aliaser(None)._alias_event_name)
    patch.setattr(aliaser, "_alias_event_name", lambda _, name: alias(name))
    patch.setattr(hooks, "accepts_kwargs", functools.lru_cache(1000)(hooks.accepts_kwargs))
    # moto would also mock each address of each service for `requests`, which nothing here uses.
    patch.setattr(models, "RESPONSES_METHODS", [])
