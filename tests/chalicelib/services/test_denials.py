"""What the log says when `@connections` denies every request of a run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import settings
from chalicelib.adapters.connections_api.calls import Reply
from chalicelib.services.denials import Denials
from chalicelib.telemetry.logs import Log
from tests.conftest import TABLE

CONFIG = settings.load({"CONNECTIONS_TABLE": TABLE})
NAME = "AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"


@pytest.mark.parametrize(
    ("endpoint", "seen"),
    [
        ("", f"{NAME} is not set; expected https://DOMAIN/MAPPING"),
        ("https://a.test/x", f"{NAME} is 'https://a.test/x'; expected https://DOMAIN/MAPPING"),
    ],
)
def test_the_setting_its_value_and_the_permission_are_named(
    logged: Callable[[], list[dict[str, Any]]], endpoint: str, seen: str
) -> None:
    denials = Denials()
    denials.add(Reply(403, "", 0.1))
    denials.add(Reply(403, "", 0.1))

    denials.report(replace(CONFIG, management_endpoint=endpoint), Log({}))

    [line] = logged()
    assert (line["level"], line["requests"], line["status"]) == ("ERROR", 2, 403)
    assert line["error"].startswith(seen)
    assert "execute-api:ManageConnections" in line["error"]


@pytest.mark.parametrize("statuses", [[], [200], [403, 200], [403, 410], [403, None], [403, 429]])
def test_another_answer_shows_that_requests_are_allowed(
    logged: Callable[[], list[dict[str, Any]]], statuses: list[int | None]
) -> None:
    """Or that it is not known."""
    denials = Denials()
    for status in statuses:
        denials.add(Reply(status, "", 0.1))

    denials.report(CONFIG, Log({}))

    assert logged() == []
