"""The rule for HTTP requests."""

import pytest

from localgateway.access import (
    LOCAL_HOSTS,
    MALFORMED,
    UNSIGNED,
    Access,
    Signature,
    allowed_hosts,
    signature,
)
from tests.localgateway.support import SIGNED

Headers = list[tuple[bytes, bytes]]
GOOD = SIGNED.format(service="sns").encode()


def headers(**values: str) -> Headers:
    """Return headers as ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in values.items()]


@pytest.mark.parametrize(
    ("host", "origin", "admitted"),
    [
        ("127.0.0.1:8765", None, True),
        ("127.0.0.1", None, True),
        ("LocalHost:8765", None, True),
        ("[::1]:8765", None, True),
        ("host.docker.internal:8765", None, True),
        ("evil.example:8765", None, False),
        ("127.0.0.1.evil.example:8765", None, False),
        ("localhost.:8765", None, False),
        ("127.0.0.1:8765:1", None, False),
        ("user@127.0.0.1:8765", None, False),
        ("127.0.0.1:", None, False),
        ("::1", None, False),
        ("", None, False),
        ("127.0.0.1:8765", "http://127.0.0.1:8765", True),
        ("localhost:8765", "HTTP://localhost:8765", True),
        ("127.0.0.1:8765", "http://localhost:8765", False),
        ("127.0.0.1:8765", "http://127.0.0.1:3000", False),
        ("127.0.0.1:8765", "https://127.0.0.1:8765", False),
        ("127.0.0.1:8765", "https://evil.example", False),
        ("127.0.0.1:8765", "null", False),
        ("127.0.0.1:8765", "", False),
    ],
)
def test_host_and_origin_decide(host: str, origin: str | None, admitted: bool) -> None:
    """Only names of this machine, and only pages of the gateway itself."""
    given = headers(host=host) + ([] if origin is None else headers(origin=origin))

    refusal = Access(allowed_hosts("127.0.0.1", ["host.docker.internal"])).refusal(given)

    assert (refusal is None) is admitted
    assert refusal is None or refusal.status == 403


@pytest.mark.parametrize(
    "given",
    [
        [],
        [(b"host", b"localhost"), (b"host", b"localhost")],
        [(b"host", b"evil.example"), (b"host", b"localhost")],
        headers(host="localhost", origin="http://localhost") + headers(origin="http://evil"),
    ],
)
def test_a_missing_or_repeated_header_is_refused(given: Headers) -> None:
    """No second value can hide behind the first."""
    assert Access().refusal(given) is not None


def test_a_refusal_says_which_names_are_expected() -> None:
    """And how to add one."""
    refusal = Access().refusal(headers(host="evil.example"))

    assert refusal is not None
    assert "Host is 'evil.example'; expected one of 127.0.0.1, [::1], localhost" in refusal.message
    assert "--allow-host" in refusal.message


@pytest.mark.parametrize(
    ("host", "names", "added"),
    [
        ("127.0.0.1", [], set()),
        ("192.0.2.7", ["API.Local"], {"192.0.2.7", "api.local"}),
        ("2001:db8::1", ["[fe80::1]"], {"[2001:db8::1]", "[fe80::1]"}),
    ],
)
def test_the_address_and_the_given_names_are_allowed(
    host: str, names: list[str], added: set[str]
) -> None:
    """IPv6 addresses are in brackets, as in `Host`."""
    assert allowed_hosts(host, names) == LOCAL_HOSTS | added


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([(b"authorization", GOOD)], Signature("ANYKEY", "us-east-1", "sns")),
        ([], UNSIGNED),
        ([(b"authorization", b"")], MALFORMED),
        ([(b"authorization", b"Basic YTpi")], MALFORMED),
        ([(b"authorization", GOOD[:-1])], MALFORMED),
        ([(b"authorization", GOOD.replace(b"aws4_request", b"aws5"))], MALFORMED),
        ([(b"authorization", GOOD), (b"authorization", GOOD)], MALFORMED),
    ],
)
def test_a_signature_has_awss_form(given: Headers, expected: object) -> None:
    """Its value is not checked."""
    assert signature(given) == expected
