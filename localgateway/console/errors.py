"""Errors of the console, which its page shows."""

from __future__ import annotations


class ActionError(Exception):
    """An action of the page that failed; the message says why."""
