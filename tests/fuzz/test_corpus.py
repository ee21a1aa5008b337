"""Every input that the fuzzers have kept, once more. `make fuzz` looks for others."""

import pytest

from tests.fuzz.targets import CORPUS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_kept_inputs_break_nothing(name: str) -> None:
    """Only the documented errors come out, and no error tells a token."""
    kept = sorted((CORPUS / name).iterdir())

    assert kept
    for path in kept:
        TARGETS[name](path.read_bytes())


def test_each_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
