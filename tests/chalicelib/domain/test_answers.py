import pytest

from chalicelib.domain import errors
from chalicelib.domain.answers import failed, invalid_request, is_text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("TTL_HOURS", "abc", "hours"), "settings"),
        (errors.StoreError("Scan", "Rows", "Throttled", "slow down"), "store"),
        (errors.MalformedRowError("a=", "ttl", None, "a number"), "malformed_row"),
        (errors.ContinuationError("1", "no answer"), "internal"),
    ],
)
def test_a_failure_has_a_code_and_the_error_s_message(
    error: errors.RegistryError, code: str
) -> None:
    assert failed(error) == {"error": {"code": code, "message": str(error)}}


def test_an_invalid_request_is_shown_cut_with_what_is_expected() -> None:
    message = f"invalid request ['{'x' * 198}...; expected {{}}"

    assert invalid_request(["x" * 300], "{}") == {
        "error": {"code": "invalid_request", "message": message}
    }


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        *(("a", True), ("\uac00", True), ("", False), ("\ud800", False), ("a\udfff", False)),
        *((None, False), (7, False), (["a"], False), ({}, False), (True, False)),
    ],
)
def test_a_field_is_text_that_utf_8_can_hold(value: object, valid: bool) -> None:
    assert is_text(value) is valid
