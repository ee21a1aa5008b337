"""The gateway's end of the console's agent, with an agent that says what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from localgateway.child_processes import Child
from localgateway.console.agent_process import AgentProcess
from tests.localgateway.support import PATIENCE


class Agent:
    """A child process that answers each request with `said`, then with its result."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()

    def write(self, line: str) -> None:
        number = json.loads(line)["id"]
        self._lines.put_nowait(self._said)
        self._lines.put_nowait(json.dumps({"id": number, "result": "done"}).encode())

    async def lines(self) -> AsyncIterator[bytes]:
        while line := await self._lines.get():
            yield line

    async def stop(self) -> None:
        self._lines.put_nowait(b"")


@pytest.mark.parametrize(
    "odd", [b"a warning\n", b"5", b"{}", b"[" * 5000, b"\xff", b'{"id": 1}', b'{"id": []}']
)
def test_a_line_that_is_no_message_is_logged_and_left_out(
    odd: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The answers behind it arrive."""
    heard: list[Any] = []

    async def start(*_: object, **__: object) -> Agent:
        return Agent(odd)

    def hear(message: Mapping[str, Any]) -> None:
        heard.append(message.get("ended") or message["news"])

    async def run() -> Any:
        process = AgentProcess("ws://x", {}, hear)
        async with asyncio.timeout(PATIENCE):
            answers = [await process.ask("open"), await process.ask("close")]
        await process.stop()
        return answers

    monkeypatch.setattr(Child, "start", start)

    assert asyncio.run(run()) == ["done", "done"]
    assert heard == [True]
    assert "left out a line of the console's agent: " in caplog.text
