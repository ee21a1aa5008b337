"""An issuer of tokens: signing keys, and a real HTTP server that publishes them."""

import functools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

AUDIENCE = "incident-dashboard"
KEYS_PATH = "/.well-known/jwks.json"
TOKEN_PATH = "/token?sub="
REMOVED: Any = object()


@dataclass(frozen=True)
class SigningKey:
    """A private key, the id under which its public half is published, and its algorithm."""

    key_id: str
    algorithm: str
    private: Any

    @property
    def public_pem(self) -> bytes:
        """The public key as text."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def published(self) -> dict[str, Any]:
        """Return the key as an issuer publishes it."""
        kind = RSAAlgorithm if self.algorithm == "RS256" else ECAlgorithm
        own = {"kid": self.key_id, "alg": self.algorithm, "use": "sig"}
        return kind.to_jwk(self.private.public_key(), as_dict=True) | own


@functools.cache
def rsa_key(key_id: str = "rsa-1") -> SigningKey:
    """Return the RSA key of this name."""
    return SigningKey(key_id, "RS256", rsa.generate_private_key(65537, 2048))


@functools.cache
def ec_key(key_id: str = "ec-1") -> SigningKey:
    """Return the elliptic curve key of this name."""
    return SigningKey(key_id, "ES256", ec.generate_private_key(ec.SECP256R1()))


@dataclass
class Issuer:
    """What the server at `url` publishes, and the paths that it was asked for.

    A `body` that is set replaces the keys. `status` goes with either. `/token?sub=ada` is answered
    with a token of `ada` that lasts for `life_s`.
    """

    url: str
    keys: list[SigningKey] = field(default_factory=lambda: [rsa_key(), ec_key()])
    status: int = 200
    body: bytes | None = None
    asked: list[str] = field(default_factory=list)
    life_s: int = 600

    @property
    def token_url(self) -> str:
        """The address of tokens, without the query."""
        return self.url + TOKEN_PATH.partition("?")[0]

    @property
    def keys_url(self) -> str:
        """The well-known address of the keys."""
        return self.url + KEYS_PATH

    def answer(self, path: str) -> tuple[int, bytes]:
        """Answer one request."""
        if path.startswith(TOKEN_PATH):
            return 200, self.short(unquote(path.partition("=")[2])).encode()
        self.asked.append(path)
        published = {"keys": [key.published() for key in self.keys]}
        return self.status, self.body if self.body is not None else json.dumps(published).encode()

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return the claims of a valid token of `alice`, with changes; `REMOVED` omits a claim."""
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now - 60, "exp": now + 600}
        claims = good | changed
        return {name: value for name, value in claims.items() if value is not REMOVED}

    def short(self, subject: str) -> str:
        """Return a token that lasts for `life_s`."""
        return self.token(sub=subject, exp=int(time.time()) + self.life_s)

    def token(self, key: SigningKey | None = None, **changed: Any) -> str:
        """Sign a token, by default a valid one with the RSA key."""
        key = key or self.keys[0]
        return signed(self.claims(**changed), key)


def signed(claims: dict[str, Any], key: SigningKey, **header: Any) -> str:
    """Sign claims with any key."""
    headers = {"kid": key.key_id} | header
    return jwt.encode(claims, key.private, key.algorithm, headers=headers)


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Run an issuer on a free port of loopback until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing: tests read what the functions log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
