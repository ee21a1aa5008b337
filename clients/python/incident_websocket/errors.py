"""The errors of the client. None of them leaves it: they are passed to `on_error`."""


class ClientError(Exception):
    """Base of the errors."""


class ConnectionEndedError(ClientError):
    """A connection has ended, or the client drops it, for the given reason."""


class AttemptError(ClientError):
    """No connection was opened; the cause is in `__cause__`."""


class TokenCancelledError(ClientError):
    """The function `token` has waited for something that was cancelled."""


class RefusedError(ClientError):
    """The server answered with an error."""
