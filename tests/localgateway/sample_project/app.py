"""An app whose functions do what a test asks for and report their events to the test."""

import json
import os
import socket
import time
from typing import Any

from chalice.app import Chalice, Cron, Rate, Response, WebsocketEvent

app = Chalice("sample")
app.experimental_feature_flags.update(["WEBSOCKETS"])


def tell(kind: str, content: object, *, hold: bool = False) -> None:
    """Report to the test; wait until it has received the report, or until it releases a hold."""
    with socket.create_connection(("127.0.0.1", int(os.environ["RECORDER"]))) as connection:
        told = {"kind": kind, "content": content, "pid": os.getpid(), "hold": hold}
        connection.sendall(json.dumps(told).encode() + b"\n")
        connection.recv(1)


@app.on_ws_connect()
def greet(event: WebsocketEvent) -> Any:
    """Respond to a handshake as its query string says."""
    raw = event.to_dict()
    query = raw.get("queryStringParameters", {})
    tell("connect", raw, hold="hold" in query)
    if "raise" in query:
        raise ValueError("refused by an exception")
    if "exit" in query:
        os._exit(3)
    if "sleep" in query:
        time.sleep(60)
    if "answer" in query:
        return json.loads(query["answer"])
    return Response("open", status_code=200)


@app.on_ws_message()
def serve(event: WebsocketEvent) -> Any:
    """Do what a message asks for."""
    tell("message", event.to_dict())
    try:
        asked = json.loads(event.body)
    except ValueError:
        return {"body": f"not JSON: {event.body[:20]}"}
    match asked:
        case {"do": "echo", "text": text}:
            return {"body": text}
        case {"do": "send", "to": connection_id, "text": text}:
            send(connection_id, text)
        case {"do": "hold" | "environment" | "context" | "large" as what}:
            return {"body": answer(what, event)}
        case {"do": "print"}:
            line = {"level": "INFO", "message": "printed", "code": 1}
            print(json.dumps(line))  # noqa: T201 - standard output is the log of a function
        case {"do": what}:
            fail(what)
    return {}


def answer(what: str, event: WebsocketEvent) -> str:
    """Return the text that a message asks for."""
    if what == "hold":
        tell("held", event.connection_id, hold=True)
        return str(os.getpid())
    if what == "large":
        return "x" * 7_000_000
    return json.dumps(dict(os.environ) if what == "environment" else context(event))


def fail(how: str) -> None:
    """Fail as a message asks to."""
    if how == "raise":
        raise ValueError("a message went wrong")
    if how == "exit":
        os._exit(3)
    if how == "hang":
        time.sleep(60)


def context(event: WebsocketEvent) -> dict[str, Any]:
    """Return the fields of the handler's second argument."""
    lambda_context: Any = event.context
    fields = ("function_name", "function_version", "memory_limit_in_mb", "aws_request_id")
    return {
        **{field: getattr(lambda_context, field) for field in fields},
        "arn": lambda_context.invoked_function_arn,
        "log_group": lambda_context.log_group_name,
        "log_stream": lambda_context.log_stream_name,
        "remaining_ms": lambda_context.get_remaining_time_in_millis(),
    }


def send(connection_id: str, text: str) -> None:
    """Send through Chalice's API, then through a client without an endpoint."""
    import boto3

    app.websocket_api.session = boto3.session.Session()
    app.websocket_api.send(connection_id, f"{text} by Chalice")
    client = boto3.client("apigatewaymanagementapi")
    client.post_to_connection(ConnectionId=connection_id, Data=f"{text} by boto3".encode())


@app.on_ws_disconnect()
def part(event: WebsocketEvent) -> Any:
    """Report the end of a connection."""
    raw = event.to_dict()
    tell("disconnect", raw)
    if raw["requestContext"]["disconnectReason"] == "raise":
        raise ValueError("a disconnect went wrong")
    return Response("parted", status_code=200)


@app.on_sns_message(topic="News")
def hear(event: Any) -> None:
    """Report a message of a topic."""
    tell("news", event.to_dict())


@app.on_sns_message(topic="arn:aws:sns:eu-west-1:111122223333:Elsewhere")
def overhear(event: Any) -> None:
    """Report a message of a topic in another region."""
    tell("elsewhere", event.to_dict())


@app.lambda_function(name="work")
def work(event: Any, context: Any) -> Any:
    """Do what an invocation asks for; report it if it has a name."""
    if "by" in event:
        tell("work", event, hold=event.get("do") == "hold")
    match event:
        case {"do": "invoke", "with": payload}:
            return invoke_itself(payload, context)
        case {"do": what}:
            fail(what)
    return {"given": event}


def invoke_itself(payload: Any, context: Any) -> int:
    """Continue in a new invocation, through a client without an endpoint."""
    import boto3

    client = boto3.client("lambda")
    answer = client.invoke(
        FunctionName=context.function_name, InvocationType="Event", Payload=json.dumps(payload)
    )
    return answer["StatusCode"]


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: Any) -> None:
    """Report a scheduled run."""
    tell("tick", event.to_dict())


@app.schedule(Cron(0, 3, "*", "*", "?", "*"))
def nightly(event: Any) -> None:
    """Report a run of a cron schedule."""
    tell("nightly", event.to_dict())


@app.on_sqs_message(queue="Jobs", batch_size=2)
def process(event: Any) -> None:
    """Report messages of a queue; fail if one asks for it."""
    raw = event.to_dict()
    tell("jobs", raw)
    if any(record["body"].startswith("fail") for record in raw["Records"]):
        raise ValueError("a job went wrong")


@app.on_sqs_message(queue_arn="arn:aws:sqs:eu-west-1:111122223333:Far")
def process_far(event: Any) -> None:
    """Report messages of a queue in another region."""
    tell("far", event.to_dict())


@app.on_cw_event({"source": ["sample"], "detail": {"level": [{"prefix": "hi"}]}})
def heed(event: Any) -> None:
    """Report an event of EventBridge."""
    tell("event", event.to_dict())


@app.lambda_function(name="heed-all")
def heed_all(event: Any, context: Any) -> None:
    """Report the events of the rule in the resources file."""
    del context
    tell("ruled", event)
