"""The Lambda functions of the incident dashboard's WebSocket API."""

from typing import Any

from chalice.app import BaseLambdaEvent, Chalice, Rate, Response, SNSEvent, SQSEvent, WebsocketEvent

from chalicelib import settings
from chalicelib.handlers import connect as connecting
from chalicelib.handlers import guard

# All functions share one package, so each of the others imports its own handler when it is
# called: a cold start of `connect` must not pay 20 ms for them.

app = Chalice("incident-websocket", configure_logs=False)
app.experimental_feature_flags.update(["WEBSOCKETS"])


@app.on_ws_connect()
def connect(event: WebsocketEvent) -> Response:
    """Track a connection before it opens."""
    return connecting.connect(event)


@app.on_ws_disconnect()
def disconnect(event: WebsocketEvent) -> Response:
    """Remove the row of a connection that has ended."""
    from chalicelib.handlers import disconnect as handler

    return handler.disconnect(event)


@app.on_ws_message()
def message(event: WebsocketEvent) -> Response:
    """Answer a client's message."""
    from chalicelib.handlers import message as handler

    return handler.message(event)


@app.on_sns_message(topic=settings.notifications_topic())
def notify(event: SNSEvent) -> dict[str, Any] | None:
    """Deliver a notification to the connections it is meant for."""
    from chalicelib.handlers import notify as handler

    return handler.notify(event.to_dict(), event.context)


@app.on_sqs_message(queue=settings.unclaimed_queue(), batch_size=1)
def unclaimed(event: SQSEvent) -> dict[str, Any]:
    """Announce the clients that have not picked a notification up."""
    from chalicelib.handlers import unclaimed as handler

    return handler.unclaimed(event.to_dict(), event.context)


@app.lambda_function(name="connections")
def connections(event: Any, context: Any) -> dict[str, Any]:
    """Return who is connected."""
    from chalicelib.handlers import connections as handler

    return handler.connections(event, context)


@app.lambda_function(name="close")
def close(event: Any, context: Any) -> dict[str, Any]:
    """Close a connection, or all connections of a client."""
    from chalicelib.handlers import close as handler

    return handler.close(event, context)


@app.schedule(Rate(settings.sweep_minutes(), unit=Rate.MINUTES))
def sweep(event: BaseLambdaEvent) -> dict[str, Any]:
    """Remove the rows of connections that ended without a `$disconnect`."""
    from chalicelib.handlers import sweep as handler

    return handler.sweep(event.to_dict(), event.context)


# Chalice made a function of each; the guarded ones take their place, here and in the app.
globals().update(guard.protect(app))
