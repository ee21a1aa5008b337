"""The rules for a client's name that a token or an authorizer gives."""

from dataclasses import dataclass

# The name becomes the clientId of the row, which must stay under 1 KB.
MAX_SUBJECT_BYTES = 128


@dataclass(frozen=True)
class Identity:
    """What a valid token says: whose it is, and when it expires (epoch s)."""

    subject: str
    expires_at: int


def subject_problem(value: object) -> str | None:
    """Return what is wrong with the name of a client, or None if nothing is."""
    if not isinstance(value, str) or not value or not value.isprintable():
        return "is not printable text"
    if len(value.encode()) > MAX_SUBJECT_BYTES:
        return f"is longer than {MAX_SUBJECT_BYTES} bytes"
    return None
