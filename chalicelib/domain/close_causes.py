"""Why a connection ended: the complete list of causes."""

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.connection import MARGIN_MS, MAX_DURATION_MS, Connection


class Cause(StrEnum):
    """Every cause that appears in logs, metrics and events."""

    CLIENT_CLOSED = "client_closed"
    GOING_AWAY = "going_away"
    MAX_DURATION = "max_duration"
    NO_STATUS = "no_status"
    ABNORMAL = "abnormal"
    PROTOCOL_ERROR = "protocol_error"
    UNSUPPORTED_DATA = "unsupported_data"
    POLICY = "policy"
    TOO_LARGE = "too_large"
    SERVER_ERROR = "server_error"
    APPLICATION = "application"
    REPLACED = "replaced"
    KICKED = "kicked"
    EXPIRED = "expired"
    SILENT = "silent"
    ORPHANED = "orphaned"
    UNKNOWN = "unknown"


# https://www.iana.org/assignments/websocket/websocket.xhtml
_BY_CODE = {
    1000: Cause.CLIENT_CLOSED,
    1001: Cause.GOING_AWAY,
    1002: Cause.PROTOCOL_ERROR,
    1003: Cause.UNSUPPORTED_DATA,
    1005: Cause.NO_STATUS,
    1006: Cause.ABNORMAL,
    1007: Cause.UNSUPPORTED_DATA,
    1008: Cause.POLICY,
    1009: Cause.TOO_LARGE,
    1010: Cause.PROTOCOL_ERROR,
    1011: Cause.SERVER_ERROR,
    1012: Cause.SERVER_ERROR,
    1013: Cause.SERVER_ERROR,
    1014: Cause.SERVER_ERROR,
    1015: Cause.ABNORMAL,
}
_BY_NAME = {cause.value: cause for cause in Cause}
# 3000 to 3999 are registered for libraries and frameworks, 4000 to 4999 are private.
_APPLICATION_CODES = range(3000, 5000)
_SERVER_CLOSE_CODES = (1000, None)
# A client whose network is gone cannot take part in the close handshake.
_SILENT_CLOSE_CODES = (*_SERVER_CLOSE_CODES, 1001, 1005, 1006)
_MAX_DURATION_S = MAX_DURATION_MS / 1000
_MARGIN_S = MARGIN_MS / 1000


def cause_of(code: int | None, duration_s: float | None, closing: str | None) -> Cause:
    """Return the cause of an end with this close code after `duration_s` seconds.

    `closing` is the cause that the server stored before it closed the connection. API Gateway
    reports such a close as a plain 1000, so `closing` counts for that code only: a close that
    failed does not explain how the connection ended later. A client that was closed because it was
    silent may also end with a code that the network explains.
    """
    codes = _SILENT_CLOSE_CODES if closing == Cause.SILENT else _SERVER_CLOSE_CODES
    if closing is not None and code in codes:
        return _BY_NAME.get(closing, Cause.UNKNOWN)
    if code is None:
        return Cause.UNKNOWN
    if code in _APPLICATION_CODES:
        return Cause.APPLICATION
    if code == 1001 and duration_s is not None and duration_s >= _MAX_DURATION_S - _MARGIN_S:
        return Cause.MAX_DURATION
    return _BY_CODE.get(code, Cause.UNKNOWN)


@dataclass(frozen=True)
class Ending:
    """The end of a tracked connection. `closed_at` is epoch ms, `duration_s` is in seconds.

    `reason` was given by the person who had the connection closed. A duration of None is unknown.
    """

    connection: Connection
    cause: Cause
    code: int | None
    closed_at: int
    duration_s: float | None
    reason: str | None = None

    @property
    def id(self) -> str:
        """The same id each time that this end is told, by which consumers drop repeats.

        It is made of what both the row and the `$disconnect` event contain.
        """
        connection_id, connected_at = self.connection.connection_id, self.connection.connected_at
        return connection_id if connected_at is None else f"{connection_id}/{connected_at}"

    def detail(self) -> dict[str, str | int | float | None]:
        """Return the `detail` of the EventBridge event: times in epoch ms, the duration in s."""
        return {
            "id": self.id,
            "connectionId": self.connection.connection_id,
            "clientId": self.connection.client_id,
            "cause": self.cause.value,
            "code": self.code,
            "connectedAt": self.connection.connected_at or self.connection.created_at,
            "closedAt": self.closed_at,
            "duration": self.duration_s,
            "reason": self.reason,
        }
