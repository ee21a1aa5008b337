"""Fetches an issuer's public keys and verifies JSON Web Tokens with them.

PyJWT and cryptography are imported for the first token, so that a cold start without
authentication does not pay for them.
"""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any

from chalicelib.domain.errors import KeysUnavailableError, TokenError
from chalicelib.domain.subjects import Identity, subject_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jwt import PyJWK

ALGORITHMS = ("RS256", "ES256")
# For the whole fetch. `connect` has 10 s, of which DynamoDB may take most.
FETCH_TIMEOUT_S = 2
# Large issuers publish 30 KB.
MAX_KEYS_BYTES = 256 * 1024
REFETCH_AFTER_S = 60
KEYS_LIVE_S = 3600
# The year 2286. A later expiry is cut to it: DynamoDB refuses numbers of over 38 digits, and the
# row has to stay under 1 KB.
LATEST_EXPIRY_S = 9_999_999_999


class KeySet:
    """An issuer's public keys, fetched when needed and kept for an hour.

    An unknown key id triggers a refetch, because issuers rotate keys, but at most once a minute,
    because anybody can invent a key id. A failed fetch keeps the present keys and is not retried
    for a minute: an issuer that is down neither locks out clients whose key is known nor makes
    every handshake wait. `clock` returns epoch s: Lambda may freeze an environment for hours, and
    its monotonic clock with it.
    """

    def __init__(
        self, fetch: Callable[[], Mapping[str, PyJWK]], clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at = clock()
        self._failure: KeysUnavailableError | None = None

    def get(self, key_id: str) -> PyJWK | None:
        """Return a key. Raises `KeysUnavailableError` if it had to be fetched and was not."""
        if self._is_due(key_id):
            self._refresh()
        key = self._keys.get(key_id)
        if key is None and self._failure is not None:
            raise KeysUnavailableError(self._failure.address, self._failure.cause)
        return key

    def _is_due(self, key_id: str) -> bool:
        if self._fetched_at is None:
            return True
        now = self._clock()
        keep_s = KEYS_LIVE_S if key_id in self._keys else REFETCH_AFTER_S
        is_fresh = 0 <= now - self._fetched_at < keep_s  # not if the clock was set back
        return not (is_fresh or 0 <= now - self._tried_at < REFETCH_AFTER_S)

    def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = self._fetch()
        except KeysUnavailableError as error:
            self._failure = error
        else:
            self._fetched_at, self._failure = self._tried_at, None


class Verifier:
    """Verifies the tokens of one issuer for one audience."""

    def __init__(self, issuer: str, audience: str, keys: KeySet) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    def identity(self, token: str) -> Identity:
        """Return whose token this is, and when it expires. A fraction of a second is dropped.

        Raises `TokenError`, which names the failed check but never the token, or
        `KeysUnavailableError`.
        """
        import jwt

        try:
            key = self._keys.get(_key_id(jwt.get_unverified_header(token)))
            if key is None:
                raise TokenError("unknown key id (kid)")
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except (jwt.PyJWTError, UnicodeError) as error:  # half a surrogate pair cannot be encoded
            raise TokenError(type(error).__name__) from error
        return Identity(_subject(claims), min(int(claims["exp"]), LATEST_EXPIRY_S))


def _key_id(header: Mapping[str, Any]) -> str:
    if header.get("alg") not in ALGORITHMS:
        raise TokenError(f"the algorithm (alg) is not one of {', '.join(ALGORITHMS)}")
    key_id = header.get("kid")
    if not isinstance(key_id, str):
        raise TokenError("missing key id (kid)")
    return key_id


def _subject(claims: Mapping[str, Any]) -> str:
    problem = subject_problem(claims["sub"])
    if problem:
        raise TokenError(f"subject (sub) {problem}")
    return str(claims["sub"])


def fetch_keys(address: str) -> Mapping[str, PyJWK]:
    """Return an issuer's keys by key id. Raises `KeysUnavailableError`."""
    import jwt

    from chalicelib.adapters.bounded_fetch import FetchError, fetch

    try:
        published = json.loads(fetch(address, FETCH_TIMEOUT_S, MAX_KEYS_BYTES))
        if not isinstance(published, dict):
            raise FetchError("the response is not a JSON object")
        keys = jwt.PyJWKSet.from_dict(published).keys
    except (FetchError, jwt.PyJWTError, AttributeError, TypeError, ValueError) as error:
        raise KeysUnavailableError(address, str(error)) from error
    except RecursionError as error:
        raise KeysUnavailableError(address, "the response is nested too deeply") from error
    found = {
        key.key_id: key
        for key in keys
        if isinstance(key.key_id, str) and key.key_id and key.public_key_use in ("sig", None)
    }
    if not found:
        raise KeysUnavailableError(address, "the response has no signing keys")
    return found


@functools.cache
def verifier(issuer: str, audience: str, keys_url: str) -> Verifier:
    """Create the verifier of an issuer's tokens, once per execution environment."""
    return Verifier(issuer, audience, KeySet(functools.partial(fetch_keys, keys_url), time.time))
