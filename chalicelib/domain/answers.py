"""The answers of the functions that people and other services invoke.

A failed or refused invocation returns `{"error": {"code": …, "message": …}}`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict

from chalicelib.domain.errors import (
    MalformedRowError,
    RegistryError,
    RequestError,
    SettingsError,
    StoreError,
)


class ErrorCode(StrEnum):
    """Why an invocation failed."""

    INVALID_REQUEST = "invalid_request"
    SETTINGS = "settings"
    STORE = "store"
    MALFORMED_ROW = "malformed_row"
    INTERNAL = "internal"


class Problem(TypedDict):
    """A failure: its code for programs, its message for people."""

    code: str
    message: str


class Failure(TypedDict):
    """The answer to an invocation that failed or was refused."""

    error: Problem


_CODES: dict[type[RegistryError], ErrorCode] = {
    RequestError: ErrorCode.INVALID_REQUEST,
    SettingsError: ErrorCode.SETTINGS,
    StoreError: ErrorCode.STORE,
    MalformedRowError: ErrorCode.MALFORMED_ROW,
}


def failure(error: RegistryError) -> Failure:
    """Return the answer that reports `error`."""
    code = _CODES.get(type(error), ErrorCode.INTERNAL)
    return {"error": {"code": code.value, "message": str(error)}}


def is_text(value: object) -> bool:
    """Return whether `value` is a string that can be the value of a request's field.

    That is neither empty nor half of a surrogate pair, which UTF-8 cannot hold.
    """
    return (
        isinstance(value, str) and value != "" and not any("\ud800" <= c <= "\udfff" for c in value)
    )
