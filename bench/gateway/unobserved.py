"""A gateway whose observer keeps nothing: `python -m bench.gateway.unobserved`."""

from typing import Any

from localgateway.__main__ import main
from localgateway.api_gateway import connections_api, messages
from localgateway.lambda_runtime import functions
from localgateway.observer.observer import Observer


def keep_nothing() -> None:
    """Take the observer's work away, in this process."""
    observer: Any = Observer
    observer.record = lambda _self, _event: None
    observer.started = lambda *_: 0
    observer.logged = lambda *_: None
    for module in (functions, messages, connections_api):
        vars(module)["content"] = lambda text: text


if __name__ == "__main__":
    keep_nothing()
    main()
