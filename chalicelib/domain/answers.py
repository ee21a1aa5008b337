"""The shape of the answers of `connections`, `close` and `sweep`: a result, or one error.

`{"error": {"code": …, "message": …}}` has one of these codes: `invalid_request`, `settings`,
`store`, `malformed_row`, `active` and `internal`.
"""

from __future__ import annotations

from typing import Any

from chalicelib.domain.errors import (
    MalformedRowError,
    RegistryError,
    RequestError,
    SettingsError,
    StoreError,
    SweepActiveError,
    shown,
)

_CODES: dict[type[RegistryError], str] = {
    SettingsError: "settings",
    StoreError: "store",
    MalformedRowError: "malformed_row",
    SweepActiveError: "active",
    RequestError: "invalid_request",
}


def invalid_request(event: object, expected: str) -> dict[str, Any]:
    """Return the answer to an invalid request, which shows its beginning."""
    return _error("invalid_request", f"invalid request {shown(event)}; expected {expected}")


def failed(error: RegistryError) -> dict[str, Any]:
    """Return the answer to a request that could not be carried out."""
    return _error(_CODES.get(type(error), "internal"), str(error))


def is_text(value: object) -> bool:
    """Return whether `value` is a string that can be the value of a request's field.

    That is neither empty nor half of a surrogate pair, which UTF-8 cannot hold.
    """
    if not isinstance(value, str):
        return False
    return value != "" and not any("\ud800" <= character <= "\udfff" for character in value)


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
