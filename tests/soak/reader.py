"""Clients of the Python library as a process, like `clients/js/test/reader.js`."""

import asyncio
import json
import sys
from typing import Any

from tests.support.readers import PythonReaders


class _Lines(list[Any]):
    """A list that prints what is appended to it, and keeps nothing."""

    def __init__(self, client_id: str, kind: str) -> None:
        super().__init__()
        self._client_id, self._kind = client_id, kind

    def append(self, item: Any) -> None:
        """Print a line."""
        shown = item if isinstance(item, dict | str) else vars(item)
        print(json.dumps({"client": self._client_id, self._kind: shown}), flush=True)  # noqa: T201


class _Told:
    """What a client is told, printed as it comes."""

    def __init__(self, client_id: str) -> None:
        kinds = {
            "notifications": "notification",
            "gaps": "gap",
            "goodbyes": "goodbye",
            "errors": "error",
        }
        for name, kind in kinds.items():
            self.__dict__[name] = _Lines(client_id, kind)
        self.__dict__["_states"] = _Lines(client_id, "state")

    def __setattr__(self, _: str, state: str) -> None:
        self.__dict__["_states"].append(str(state))


async def _main(address: str, ids: list[str], options: dict[str, Any]) -> None:
    readers = PythonReaders(ids)
    told: Any = readers.told
    told.update({client_id: _Told(client_id) for client_id in ids})
    reading = [asyncio.create_task(readers.read(address, each, **options)) for each in ids]
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async for line in commands:
        name, _, client_id = line.decode().strip().partition(" ")
        if name == "cut":
            readers.cut(client_id)
    for task in reading:
        task.cancel()
    results = await asyncio.gather(*reading, return_exceptions=True)
    if failures := [each for each in results if isinstance(each, Exception)]:
        sys.exit(f"{failures}")


if __name__ == "__main__":
    asyncio.run(_main(**json.loads(sys.argv[1])))
