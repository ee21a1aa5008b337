"""The Lambda functions of the incident dashboard's WebSocket API."""

from typing import Any

from chalice.app import BaseLambdaEvent, Chalice, Rate, Response, SNSEvent, WebsocketEvent

from chalicelib import answers, ending, opening, settings

app = Chalice("incident-websocket", configure_logs=False)
app.experimental_feature_flags.update(["WEBSOCKETS"])
app.register_middleware(answers.answer_errors, "websocket")


class AnyEvent(BaseLambdaEvent):
    """What Chalice's own event of a schedule refuses: `{"dryRun": true}`, by hand."""

    def _extract_attributes(self, event_dict: dict[str, Any]) -> None:
        pass


@app.on_ws_connect()
def connect(event: WebsocketEvent) -> Response:
    """Track a connection before it opens."""
    return opening.register(event)


@app.on_ws_disconnect()
def disconnect(event: WebsocketEvent) -> Response:
    """Forget a connection that has ended."""
    return ending.forget(event)


@app.on_ws_message()
def message(event: WebsocketEvent) -> Response:
    """Answer a client's ping."""
    from chalicelib import messages

    return messages.answer(event)


@app.on_sns_message(topic=settings.notifications_topic())
def notify(event: SNSEvent) -> dict[str, Any] | None:
    """Deliver a notification to the connections that it is meant for."""
    from chalicelib import notify as notifying

    return notifying.notify(event.to_dict(), event.context)


@app.lambda_function(name="connections")
def connections(event: Any, context: Any) -> dict[str, Any]:
    """Tell who is connected."""
    from chalicelib import directory

    return directory.look_up(event, context)


@app.lambda_function(name="close")
def close(event: Any, context: Any) -> dict[str, Any]:
    """Close a connection, or all of a client's."""
    from chalicelib import closing

    return closing.close(event, context)


@app.schedule(Rate(settings.sweep_minutes(), unit=Rate.MINUTES))
def sweep(event: BaseLambdaEvent) -> dict[str, Any]:
    """Remove the rows of connections that died without a `$disconnect`."""
    from chalicelib import sweep as sweeping

    return sweeping.sweep(event.to_dict(), event.context)


sweep.event_class = AnyEvent
