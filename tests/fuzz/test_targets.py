"""The fuzzers themselves: they find what was broken on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chalicelib.adapters import token_keys
from chalicelib.domain.errors import TokenError
from localgateway import request_bodies
from localgateway.api_gateway import websocket_api
from tests.fuzz import __main__ as fuzz
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import CORPUS, TARGETS


def test_an_error_that_tells_a_token_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    token = (CORPUS / "tokens" / "unknown").read_bytes()

    def identity(_self: object, told: str) -> Any:
        raise TokenError(f"cannot read {told}")

    monkeypatch.setattr(token_keys.Verifier, "identity", identity)

    with pytest.raises(AssertionError, match="told a token"):
        TARGETS["tokens"](token)


@pytest.mark.parametrize(
    ("module", "name", "target", "kept"),
    [
        (websocket_api, "read_handshake", "websocket_frames", "text"),
        (request_bodies, "read", "http_bodies", "post"),
    ],
)
def test_an_error_within_the_gateway_is_found(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, target: str, kept: str
) -> None:
    """It would be logged, and answered with 500."""

    def broken(*_: object) -> Any:
        raise LookupError("broken on purpose")

    monkeypatch.setattr(module, name, broken)

    with pytest.raises(AssertionError, match="Exception in ASGI application"):
        TARGETS[target]((CORPUS / target / kept).read_bytes())


@pytest.mark.parametrize("seed", range(50))
def test_changed_json_is_json_and_no_longer_than_allowed(seed: int) -> None:
    given = (CORPUS / "templates" / "small").read_bytes()

    changed = mutated(given, 5000, seed)

    assert changed is None or (json.loads(changed) is not None and len(changed) <= 5000)


@pytest.mark.parametrize("data", [b"", b"{", b"5", b"[" * 5000])
def test_what_is_no_json_is_left_to_the_fuzzer(data: bytes) -> None:
    assert mutated(data, 100, 1) is None


@pytest.mark.parametrize(
    ("log", "said", "status"),
    [
        ("print('#57300\\tDONE   cov: 185 ft: 246 corp: 17')", "57300 executions, 185 edges", 0),
        ("print('table: 20 sequences of 30 steps')", "table: 20 sequences of 30 steps", 0),
        ("print(' === Uncaught Python exception: ===\\nTypeError: x'); 1 / 0", "TypeError: x", 1),
    ],
)
def test_what_was_tried_or_found_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: str, said: str, status: int
) -> None:
    monkeypatch.setattr(fuzz, "BUILD", tmp_path)
    monkeypatch.setattr(fuzz, "MODULES", ["-c", log])

    done = CliRunner().invoke(fuzz.main, ["--only", "tokens", "--minutes", "0.01"])

    assert done.exit_code == status
    assert said in done.output


def test_an_unknown_name_is_refused_with_those_that_are_known() -> None:
    done = CliRunner().invoke(fuzz.main, ["--only", "colours"])

    assert done.exit_code == 2
    assert "colours is unknown; expected api_gateway_events, " in done.output
