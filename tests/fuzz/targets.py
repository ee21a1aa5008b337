"""Every fuzz target by its name, which is also the name of its corpus.

A target takes any bytes. It returns, or raises what must never come out of the code that it tries.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz import application_targets, file_targets, gateway_targets

CORPUS = Path(__file__).with_name("corpus")
NOT_JSON = frozenset({"tokens", "http_sockets", "websocket_frames", "masking"})

TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        application_targets.api_gateway_events,
        application_targets.notifications,
        application_targets.queued_messages,
        application_targets.client_messages,
        application_targets.tokens,
        application_targets.signed_claims,
        application_targets.key_sets,
        application_targets.rows,
        file_targets.resources_files,
        file_targets.templates,
        file_targets.configurations,
        file_targets.failed_messages,
        gateway_targets.http_sockets,
        gateway_targets.http_bodies,
        gateway_targets.console_requests,
        gateway_targets.websocket_frames,
        gateway_targets.function_lines,
        gateway_targets.masking,
    )
}
