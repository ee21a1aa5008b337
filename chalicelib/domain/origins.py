"""Web origins as browsers send them in the header `Origin`.

https://www.rfc-editor.org/rfc/rfc6454#section-6.2
"""

import re

# Of an opaque origin, such as a sandboxed frame, and of a page that was opened as a file.
_WITHOUT_HOST = ("null", "file://")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"[a-z0-9._~-]+|\[[0-9a-f:.]+\]")


def origin_problem(origin: str) -> str:
    """Return why no browser ever sends `origin`, in lower case, or "" if one may."""
    if origin in _WITHOUT_HOST:
        return ""
    if "*" in origin:
        return "a wildcard matches nothing"
    scheme, separator, rest = origin.partition("://")
    if not separator:
        return "the scheme is missing, such as https://"
    if not _SCHEME.fullmatch(scheme):
        return f"{scheme!r} is not a scheme"
    if scheme in ("ws", "wss"):
        return "browsers send the scheme of the page, such as https"
    for character, part in (("#", "fragment"), ("?", "query"), ("/", "path"), ("@", "user")):
        if character in rest:
            return f"an origin has no {part}"
    host, port = _split(rest)
    return _host_problem(host) or _port_problem(scheme, port)


def _split(authority: str) -> tuple[str, str | None]:
    """Return host and port. The colons within an IPv6 address in brackets separate nothing."""
    host, colon, port = authority.rpartition(":")
    return (host, port) if colon and "]" not in port else (authority, None)


def _host_problem(host: str) -> str:
    if not host:
        return "the host is missing"
    if not host.isascii():
        return "browsers send an international host in punycode (xn--)"
    return "" if _HOST.fullmatch(host) else f"{host!r} is not a host"


def _port_problem(scheme: str, port: str | None) -> str:
    if port is None:
        return ""
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536) or port[0] == "0":
        return f"{port!r} is not a port"
    if port == _DEFAULT_PORTS.get(scheme):
        return f"browsers leave out the default port {port}"
    return ""
