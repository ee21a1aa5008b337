"""The Lambda functions of the incident dashboard's WebSocket API."""

from chalice.app import Chalice, Response, WebsocketEvent

from chalicelib import lifecycle

app = Chalice("incident-websocket", configure_logs=False)
app.experimental_feature_flags.update(["WEBSOCKETS"])
app.register_middleware(lifecycle.answer_errors, "websocket")


@app.on_ws_connect()
def connect(event: WebsocketEvent) -> Response:
    """Track a connection before it opens."""
    return lifecycle.register(event)


@app.on_ws_disconnect()
def disconnect(event: WebsocketEvent) -> Response:
    """Forget a connection that has ended."""
    return lifecycle.forget(event)
