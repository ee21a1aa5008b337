"""The shape of the answers of `connections`, `close` and `sweep`: a result, or one error.

`{"error": {"code": …, "message": …}}` has one of these codes: `invalid_request`, or the reason of
the application's error, such as `settings` or `store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chalicelib.domain.errors import RegistryError

SHOWN_CHARACTERS = 200


def invalid_request(event: object, expected: str) -> dict[str, Any]:
    """Return the answer to an invalid request, which shows its beginning."""
    shown = repr(event)
    if len(shown) > SHOWN_CHARACTERS:
        shown = f"{shown[:SHOWN_CHARACTERS]}..."
    return _error("invalid_request", f"invalid request {shown}; expected {expected}")


def failed(error: RegistryError) -> dict[str, Any]:
    """Return the answer to a request that could not be carried out."""
    return _error(error.reason, str(error))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
