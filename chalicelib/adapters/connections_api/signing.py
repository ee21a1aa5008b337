"""Signs requests to `@connections` with Signature Version 4, by AWS's C runtime."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awscrt import auth, http  # type: ignore[import-untyped] # has no types

from chalicelib.adapters.connections_api import bindings

if TYPE_CHECKING:
    from botocore.credentials import Credentials

    from chalicelib.adapters.connections_api.calls import Call
    from chalicelib.adapters.connections_api.endpoint import Endpoint


@dataclass(frozen=True)
class SignedRequest:
    """A request of the C runtime, the body that it reads, and what it was built from."""

    message: Any
    stream: io.BytesIO | None
    method: str
    body: bytes
    headers: list[tuple[str, str]]

    def rewind(self) -> None:
        """Let the body be read from its start, which sending it once more needs."""
        if self.stream is not None:
            self.stream.seek(0)


class Signer:
    """Signs requests to one endpoint.

    The signing configuration is renewed each second, so that the date is right and expired
    credentials are replaced.
    """

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self._endpoint = endpoint
        self._authority = endpoint.authority
        self._credentials = credentials
        self._config: Any = None
        self._config_key: tuple[int, bytes] | None = None

    def sign(self, call: Call, spare: SignedRequest | None = None) -> SignedRequest:
        """Return the signed request of a call. Raises botocore's `NoCredentialsError`.

        `spare` is a request that has had its answer. If it has the same method and body, it is
        signed anew for this call: to build one takes a third of the CPU of a signature.
        """
        if spare and spare.method == call.method and spare.body == call.body:
            request = spare
            request.rewind()
        else:
            request = self._build(call)
        message = request.message
        message.path = self._endpoint.path(call.connection_id)
        message.headers.clear()
        message.headers.add_pairs(request.headers)
        bindings.sign(message, self._config_for(call.body))
        return request

    def _build(self, call: Call) -> SignedRequest:
        headers = [("Host", self._authority)]
        if call.method == "POST":
            headers.append(("Content-Length", str(len(call.body))))
        stream = io.BytesIO(call.body) if call.body else None
        message = http.HttpRequest(call.method, "/", http.HttpHeaders(), stream)
        return SignedRequest(message, stream, call.method, call.body, headers)

    def _config_for(self, body: bytes) -> Any:
        key = (int(time.time()), body)
        if key != self._config_key:
            keys = self._credentials.get_frozen_credentials()
            self._config = auth.AwsSigningConfig(
                credentials_provider=auth.AwsCredentialsProvider.new_static(
                    keys.access_key, keys.secret_key, keys.token
                ),
                region=self._endpoint.region,
                service="execute-api",
                signed_body_value=hashlib.sha256(body).hexdigest(),
            )
            self._config_key = key
        return self._config
