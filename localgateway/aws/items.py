"""Item operations of DynamoDB, straight to moto's handler.

moto's way from a request to its handler and back costs several times what the handler does: Flask,
the parsing of parameters and the serializer of responses. Items are JSON on both sides already.
Binary values take moto's own way.
"""

from __future__ import annotations

import base64
import functools
import json
import logging
import uuid
from typing import Any

from botocore.session import get_session
from moto.core.exceptions import ServiceException
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.responses import DynamoHandler
from werkzeug.exceptions import HTTPException

# By operation: the name of the handler's method.
_METHODS = {
    "PutItem": "put_item",
    "GetItem": "get_item",
    "DeleteItem": "delete_item",
    "UpdateItem": "update_item",
    "Query": "query",
    "Scan": "scan",
    "BatchGetItem": "batch_get_item",
    "BatchWriteItem": "batch_write_item",
    "TransactGetItems": "transact_get_items",
    "TransactWriteItems": "transact_write_items",
}
_JSON = "application/x-amz-json-1.0"
_BINARY = (b'"B"', b'"BS"')

_log = logging.getLogger(__name__)

Answer = tuple[int, list[tuple[str, str]], bytes]


def call(operation: str, body: bytes, region: str) -> Answer | None:
    """Return the response of an item operation, or None if moto's own way has to be taken.

    A call that returned None has changed nothing, so it can be made again.
    """
    method = _METHODS.get(operation)
    if method is None or any(mark in body for mark in _BINARY):
        return None
    handler = DynamoHandler()
    try:
        handler.body = handler.params = json.loads(body)
    except (RecursionError, ValueError):  # UnicodeDecodeError is a ValueError
        return _refused("com.amazon.coral.service#SerializationException", "the body is not JSON")
    handler.uri_match = {}
    handler.region = region
    handler.current_account = DEFAULT_ACCOUNT_ID
    handler.response_headers = {}
    try:
        result = getattr(handler, method)()
    except DynamodbException as error:
        return _error(error)
    except (ServiceException, HTTPException):
        return None
    except Exception as error:  # noqa: BLE001 - what moto raises for calls that it cannot parse
        return invalid(operation, error)
    if not isinstance(result, ActionResult) or not isinstance(result.result, dict):
        raise TypeError(f"{operation} returned {result!r}")
    members = _members(operation)
    answer = {
        name: value
        for name, value in result.result.items()
        if value is not None and name in members
    }
    headers = [
        ("Content-Type", _JSON),
        ("x-amzn-RequestId", uuid.uuid4().hex.upper()),
    ]
    return 200, headers, json.dumps(answer, default=_plain).encode()


def invalid(operation: str, error: Exception) -> Answer:
    """Return the ValidationException for a call that moto cannot parse."""
    _log.warning("%s: moto raised %r", operation, error)
    return _refused("com.amazonaws.dynamodb.v20120810#ValidationException", str(error))


def _refused(kind: str, message: str) -> Answer:
    body = json.dumps({"__type": kind, "message": message}).encode()
    return 400, [("Content-Type", _JSON)], body


def _error(error: DynamodbException) -> Answer:
    headers = [
        ("Content-Type", _JSON),
        ("x-amzn-ErrorType", error.relative_error_type),
        ("x-amzn-RequestId", uuid.uuid4().hex.upper()),
    ]
    return error.code, headers, error.get_body().encode()


@functools.cache
def _members(operation: str) -> frozenset[str]:
    model = _service().operation_model(operation)
    return frozenset(model.output_shape.members)


@functools.cache
def _service() -> Any:
    return get_session().get_service_model("dynamodb")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "to_json"):
        return value.to_json()
    raise TypeError(f"{value!r} has no JSON form")
