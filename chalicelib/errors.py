"""Every error that the registry raises on purpose."""

from collections.abc import Mapping


class RegistryError(Exception):
    """Something that the registry could not do; the message is fit for a log.

    `reason` is one word for the metric of refused handshakes.
    """

    reason = "error"


class SettingsError(RegistryError):
    """An environment variable is missing or holds a value that is not accepted."""

    reason = "settings"

    def __init__(self, variable: str, value: str | None, accepted: str) -> None:
        super().__init__(variable, value, accepted)
        self.variable = variable
        self.value = value
        self.accepted = accepted

    def __str__(self) -> str:
        seen = "is not set" if self.value is None else f"is {self.value!r}"
        return f"{self.variable} {seen}; accepted is {self.accepted}"


class EventError(RegistryError):
    """A field of an API Gateway event holds a value that is not accepted."""

    reason = "event"

    def __init__(self, field: str, value: object, accepted: str) -> None:
        super().__init__(field, value, accepted)
        self.field = field
        self.value = value
        self.accepted = accepted

    def __str__(self) -> str:
        return f"{self.field} is {self.value!r}; accepted is {self.accepted}"


class StoreError(RegistryError):
    """DynamoDB did not carry out an operation; `code` is its error code, or the error's name."""

    reason = "store"

    def __init__(self, operation: str, table: str, code: str, cause: str) -> None:
        super().__init__(operation, table, code, cause)
        self.operation = operation
        self.table = table
        self.code = code
        self.cause = cause

    def __str__(self) -> str:
        return f"{self.operation} on table {self.table!r} failed: {self.code}: {self.cause}"


class MalformedRowError(RegistryError):
    """A row of the connections table lacks an attribute or holds one of another type."""

    reason = "unverified"

    def __init__(self, connection_id: str, attribute: str) -> None:
        super().__init__(connection_id, attribute)
        self.connection_id = connection_id
        self.attribute = attribute

    def __str__(self) -> str:
        return f"the row of connection {self.connection_id!r} has no usable {self.attribute!r}"


class UnverifiedError(RegistryError):
    """The row that was read back is missing or is not the one that was written."""

    reason = "unverified"

    def __init__(self, written: Mapping[str, object], stored: Mapping[str, object] | None) -> None:
        super().__init__(written, stored)
        self.written = written
        self.stored = stored

    def __str__(self) -> str:
        found = "no row" if self.stored is None else f"another row, {dict(self.stored)}"
        return f"wrote {dict(self.written)}, but read back {found}"


class TokenError(RegistryError):
    """A token is not accepted; `check` tells which check failed, and never holds the token."""

    def __init__(self, check: str) -> None:
        super().__init__(check)
        self.check = check

    def __str__(self) -> str:
        return f"token not accepted: {self.check}"


class KeysUnavailableError(RegistryError):
    """The issuer's public keys could not be fetched."""

    def __init__(self, address: str, cause: str) -> None:
        super().__init__(address, cause)
        self.address = address
        self.cause = cause

    def __str__(self) -> str:
        return f"no keys from {self.address!r}: {self.cause}"
