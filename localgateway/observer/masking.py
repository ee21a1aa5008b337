"""Takes credentials out of events: by the names of their fields, and by the form of tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MASK = "***"
_NAMES = "token|secret|passw|authorization|cookie|credential|signature|api[-_]?key"
_NAME = re.compile(_NAMES, re.IGNORECASE)
# The text is a client's, so each expression reads a byte a bounded number of times: it begins only
# where a word or a quote does, and never tries again what it has read (`*+`, `(?>…)`).
_BEARER = re.compile(rb"(?i:(?<=bearer )|(?<=bearer, )|(?<=bearer,))[\w.~+/=-]++")
# A JSON Web Token, which may have letters before it: `\n` within JSON ends with one.
_WEB_TOKEN = re.compile(rb"(?<![\w-])(?P<before>(?>[\w-]*?(?=eyJ)))[\w-]{8,}+\.[\w-]++\.[\w-]*+")
# A field of JSON, which may be text within JSON: its quotes have backslashes before them then.
_FIELD = re.compile(
    rb"(?P<quote>\"|\\(?<!\\\\)\\*+\")"
    rb"(?P<name>(?i:(?=[\w.-]*?(?:" + _NAMES.encode() + rb")))[\w.-]++)(?P=quote)"
    rb"(?P<between>\s*+:\s*+)"
    rb"(?:\[[^\]]*+\]?|(?P=quote)(?P<value>(?:(?!(?<!\\)(?P=quote)).)*+)(?P=quote)?)",
    re.DOTALL,
)
# The fields of a handshake's event with what the client sent.
_SENT = (
    *("headers", "multiValueHeaders"),
    *("queryStringParameters", "multiValueQueryStringParameters"),
)
# Looking for these is much faster than the expressions, and text without them has no credentials.
_HINTS = (
    *("token", "secret", "passw", "authorization", "cookie", "credential", "signature"),
    *("apikey", "api-key", "api_key", "eyj", "bearer"),
)


def is_secret(name: str) -> bool:
    """Return whether a header, parameter or field of this name carries a credential."""
    return _NAME.search(name) is not None


def is_suspicious(text: bytes) -> bool:
    """Return whether text may have credentials."""
    lower = text.decode("latin-1").lower()
    if "x-api-key" in lower:  # of a `$disconnect`, which never has a value
        lower = lower.replace('"x-api-key": ""', "").replace('"x-api-key": [""]', "")
    return any(hint in lower for hint in _HINTS)


def masked_text(text: bytes) -> bytes:
    """Return text, or JSON with ASCII only, without what looks like a credential."""
    if not is_suspicious(text):
        return text
    text = _FIELD.sub(_masked_field, text)
    if b"bearer" in text.lower():
        text = _BEARER.sub(MASK.encode(), text)
    if b"eyJ" in text:
        text = _WEB_TOKEN.sub(rb"\g<before>" + MASK.encode(), text)
    return text


def masked_protocols(offered: str) -> str:
    """Return the value of a Sec-WebSocket-Protocol without the token that follows `bearer`."""
    names = [name.strip() for name in offered.split(",")]
    for number, name in enumerate(names[:-1]):
        if name.lower() == "bearer":
            names[number + 1] = MASK
    return ", ".join(names)


def masked_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers or parameters by name, the last of each, without credentials."""
    return {name: _masked(name, value) for name, value in pairs}


def masked_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a handshake's event without credentials. It may have been made by hand."""
    copy = dict(event)
    if isinstance(context := event.get("requestContext"), dict):
        copy["requestContext"] = dict(context)
    for field in _SENT:
        given = event.get(field)
        if isinstance(given, dict):
            copy[field] = {name: _masked_value(name, value) for name, value in given.items()}
    return copy


def _masked_value(name: str, value: object) -> object:
    if isinstance(value, list):
        return [_masked_value(name, each) for each in value]
    if isinstance(value, str):
        return _masked(name, value)
    return MASK if value and (isinstance(value, dict) or is_secret(name)) else value


def _masked(name: str, value: str) -> str:
    if name.lower() == "sec-websocket-protocol":
        return masked_protocols(value)
    if is_secret(name):
        return MASK if value else value
    return masked_text(value.encode(errors="replace")).decode()


def _masked_field(found: re.Match[bytes]) -> bytes:
    quote = found["quote"]
    mask = b"" if found["value"] == b"" else MASK.encode()
    shown = quote + mask + quote
    if found["value"] is None:  # a list
        shown = b"[%b]" % shown
    return b"".join((quote, found["name"], quote, found["between"], shown))
