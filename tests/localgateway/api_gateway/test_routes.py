"""Route selection."""

import pytest

from localgateway.api_gateway.routes import select_route


@pytest.mark.parametrize(
    ("body", "routes", "selected"),
    [
        ('{"action": "join"}', {"join", "$default"}, "join"),
        ('{"action": "leave"}', {"join", "$default"}, "$default"),
        ('{"action": "leave"}', {"join"}, None),
        ('{"action": ["join"]}', {"join", "$default"}, "$default"),
        ('{"action": "$connect"}', {"$default"}, "$default"),
        ("[1, 2]", {"join", "$default"}, "$default"),
        ("no JSON", {"join", "$default"}, "$default"),
        ("[" * 100_000, {"$default"}, "$default"),
        ("no JSON", set(), None),
    ],
)
def test_the_action_of_the_body_selects_the_route(
    body: str, routes: set[str], selected: str | None
) -> None:
    """The action selects its route, or `$default` if the API has it."""
    assert select_route(body, routes) == selected
