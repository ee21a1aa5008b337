"""The files of the page, and the headers that keep everything else out of it."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).with_name("page")
TYPES = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
# No inline code or style, no other address, no frame; text can never become markup or code.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)


def asset(name: str) -> tuple[bytes, str] | None:
    """Return content and type of a file of the page, or None if there is none of this name."""
    path = FOLDER / (name or "index.html")
    kind = TYPES.get(path.suffix)
    if kind is None or path.parent != FOLDER or not path.is_file():
        return None
    return path.read_bytes(), kind
