"""Requests as a server received them, and whether their signatures are valid."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HEAD_END = b"\r\n\r\n"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request, SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>\w+)"
)


@dataclass(frozen=True)
class Received:
    """A request as it came; `target` is the path as it was sent, header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def parse(recorded: bytes) -> Iterator[Received]:
    """Return the requests that follow one another in `recorded`."""
    at = 0
    while at < len(recorded):
        end = recorded.index(HEAD_END, at)
        first, *lines = recorded[at:end].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        at = end + len(HEAD_END) + int(headers.get("content-length", 0))
        yield Received(method, target, headers, recorded[end + len(HEAD_END) : at])


def is_valid(received: Received, credentials: Credentials, scheme: str = "http") -> bool:
    """Tell whether botocore's own signer, in Python, comes to the request's signature.

    Host, date and, where there is one, the session token must be among what was signed.
    """
    found = AUTHORIZATION.fullmatch(received.headers.get("authorization", ""))
    if found is None or found["key"] != credentials.access_key or found["service"] != "execute-api":
        return False
    names = found["headers"].split(";")
    token = {"x-amz-security-token"} if credentials.token else set()
    if not {"host", "x-amz-date"} | token <= set(names):
        return False
    if credentials.token and received.headers["x-amz-security-token"] != credentials.token:
        return False
    request = AWSRequest(
        method=received.method,
        url=f"{scheme}://{received.headers['host']}{received.target}",
        headers={name: received.headers[name] for name in names},
        data=received.body,
    )
    request.context["timestamp"] = received.headers["x-amz-date"]
    signer = SigV4Auth(credentials, found["service"], found["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return bool(signer.signature(text, request) == found["signature"])
