"""Fuzzes one target, guided by coverage: `python -m tests.fuzz.one TARGET FOLDER [FLAG] [FOLDER]`.

New inputs go to FOLDER; the corpus of the repository is only read. What breaks a target is written
to FOLDER/crash-…. Flags are libFuzzer's; without them it goes on until it is stopped. Further
folders have more inputs, for `-merge=1`.
"""

import importlib
import logging
import sys
from pathlib import Path
from typing import Any

# It has wheels for Linux only, and is installed by `make fuzz`.
atheris: Any = importlib.import_module("atheris")

PACKAGES = ["chalicelib", "localgateway", "provision", "h11", "websockets", "jwt"]
LONGEST_BYTES = 16_384


def main() -> None:
    """Fuzz until libFuzzer's own limits, or the first finding."""
    name, folder, *options = sys.argv[1:]
    logging.disable(logging.WARNING)
    with atheris.instrument_imports(include=PACKAGES):
        targets = importlib.import_module("tests.fuzz.targets")
    mutation = importlib.import_module("tests.fuzz.mutation")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Change JSON as JSON three times out of four."""
        changed = None
        if name not in targets.NOT_JSON and seed % 4:
            changed = mutation.mutated(data, most, seed)
        return changed if changed is not None else bytes(atheris.Mutate(data, most))

    Path(folder).mkdir(parents=True, exist_ok=True)
    given = [f"-max_len={LONGEST_BYTES}", "-timeout=10", "-rss_limit_mb=1024", "-len_control=20"]
    crashes = f"-artifact_prefix={folder}/"
    # To merge, libFuzzer runs itself again for the inputs, by this command.
    itself = f"{sys.executable} -m tests.fuzz.one {name} {folder}"
    flags = [each for each in options if each.startswith("-")]
    more = [each for each in options if not each.startswith("-")]
    corpora = [folder, *more, str(targets.CORPUS / name)]  # libFuzzer writes to the first
    atheris.Setup(
        [itself, *given, crashes, *flags, *corpora],
        targets.TARGETS[name],
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
