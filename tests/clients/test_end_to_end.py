"""Both client libraries against the local gateway: nothing is missed while a client is away."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_readmes import JAVASCRIPT, PYTHON, block
from tests.conftest import ROOT
from tests.support.gateway import Gateway, serving
from tests.support.node import FOLDER, node
from tests.support.readers import Readers, node_readers, python_readers, until

TOPIC = "arn:aws:sns:us-east-1:123456789012:IncidentNotifications-dev"
Open = Callable[..., AbstractAsyncContextManager[Readers]]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    project = tmp_path_factory.mktemp("clients") / "project"
    with serving(project, settings={"RECOVER_OWN": "always"}) as gateway:
        yield gateway


async def publish(gateway: Gateway, text: str, client_id: str | None = None) -> str:
    """Publish a notification and return its id."""
    attributes = (
        {} if client_id is None else {"clientId": {"DataType": "String", "StringValue": client_id}}
    )
    answer: dict[str, Any] = await asyncio.to_thread(
        gateway.client("sns").publish, TopicArn=TOPIC, Message=text, MessageAttributes=attributes
    )
    return str(answer["MessageId"])


@pytest.mark.parametrize("opened", [python_readers, node_readers])
def test_a_client_that_was_cut_off_gets_each_notification_once_and_in_order(
    gateway: Gateway, opened: Open
) -> None:
    name = opened.__name__

    async def run() -> None:
        async with opened(gateway.url, [name]) as readers:
            told = readers.told[name]
            await until(lambda: told.state == "live")
            sent = [await publish(gateway, "before"), await publish(gateway, "me", name)]
            await until(lambda: len(told.notifications) == 2)

            readers.hold()
            readers.cut(name)
            await until(lambda: told.state != "live")
            for number in range(3):
                sent.append(await publish(gateway, json.dumps({"missed": number})))
                sent.append(await publish(gateway, "missed", name))
            await until(lambda: len(gateway.logged("notified")) >= len(sent))
            readers.release()
            await until(lambda: len(told.notifications) == len(sent))
            sent.append(await publish(gateway, "after"))
            await until(lambda: len(told.notifications) == len(sent))

        for stream in ("all", "own"):
            numbers = [each["seq"] for each in told.notifications if each["stream"] == stream]
            assert numbers == sorted(set(numbers))
        assert sorted(each["id"] for each in told.notifications) == sorted(sent)
        assert told.gaps == []

    asyncio.run(run())


def examples() -> dict[str, tuple[list[str], str]]:
    """Return the examples of the READMEs: the command that runs each, and its code."""
    code = {
        "python": block(PYTHON, "python"),
        "js": block(JAVASCRIPT, "js"),
    }
    return {
        "python": ([sys.executable, "-u", "-"], code["python"]),
        "js": ([node(), "--input-type=module", "-"], code["js"]),
    }


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_example_of_the_readme_runs(gateway: Gateway, language: str, tmp_path: Path) -> None:
    command, code = examples()[language]
    code = code.replace("wss://example.com/prod", gateway.url).replace(
        "position.json", str(tmp_path / "position.json")
    )
    text = f"for the example in {language}"

    with subprocess.Popen(
        command,
        cwd=FOLDER,
        env=os.environ | {"PYTHONPATH": str(ROOT / "clients" / "python")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(code)
        process.stdin.close()
        shown = threading.Event()

        def publish_until_shown() -> None:
            """Go on until then: the position begins some time after the client has connected."""
            while not shown.wait(0.5):
                asyncio.run(publish(gateway, text))

        publishing = threading.Thread(target=publish_until_shown)
        publishing.start()
        try:
            told = any(text in line for line in process.stdout)
        finally:
            shown.set()
            process.kill()
            publishing.join()

    assert told
