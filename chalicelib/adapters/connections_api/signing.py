"""Signs requests to `@connections` with Signature Version 4, by AWS's C runtime."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from awscrt import auth, http  # type: ignore[import-untyped] # has no types

if TYPE_CHECKING:
    from botocore.credentials import Credentials

    from chalicelib.adapters.connections_api.calls import Call
    from chalicelib.adapters.connections_api.endpoint import Endpoint


@dataclass(frozen=True)
class SignedRequest:
    """A request of the C runtime and the body that it reads."""

    message: Any
    body: io.BytesIO | None


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

    def sign(self, call: Call) -> SignedRequest:
        """Build and sign the request. Raises botocore's `NoCredentialsError`."""
        headers = [("Host", self._authority)]
        if call.method == "POST":
            headers.append(("Content-Length", str(len(call.body))))
        body = io.BytesIO(call.body) if call.body else None
        message = http.HttpRequest(
            call.method,
            self._endpoint.path(call.connection_id),
            http.HttpHeaders(headers),
            body,
        )
        # With static credentials the runtime signs at once, in this thread.
        auth.aws_sign_request(message, self._config_for(call.body)).result()
        return SignedRequest(message, body)

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
