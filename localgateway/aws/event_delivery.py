"""EventBridge deliveries to functions, as asynchronous invocations like in AWS.

moto matches events with rules, but does not invoke functions.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.events.models import Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Invoke = Callable[[str, Mapping[str, Any]], None]

_log = logging.getLogger(__name__)


def deliver_by(invoke: Invoke) -> None:
    """Make moto call `invoke` with a function's ARN and the event for each target that is one."""
    send = Rule.send_to_targets

    def send_to_targets(self: Rule, event: Any, transform_input: bool = True) -> None:
        functions = [each for each in self.targets if ":lambda:" in each["Arn"]]
        if functions and self.event_pattern.matches_event(event):
            for target in functions:
                invoke(target["Arn"], _input(target, event))
        others = [each for each in self.targets if each not in functions]
        if others:
            targets, self.targets = self.targets, others
            try:
                send(self, event, transform_input)
            except NotImplementedError:
                _log.warning("rule %s: targets other than functions are not served", self.name)
            finally:
                self.targets = targets

    Rule.send_to_targets = send_to_targets  # type: ignore[method-assign,assignment] # no setting


def _input(target: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
    if "Input" in target:
        return json.loads(target["Input"])
    shown = {name: value for name, value in event.items() if name != "ingestion-time"}
    moment = datetime.fromtimestamp(float(event["time"]), UTC)
    return shown | {"time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}
