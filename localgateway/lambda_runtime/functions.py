"""The functions of a project and the execution environments that run them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localgateway.errors import ChildError
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRIPT = Path(__file__).with_name("bootstrap.py")
_START_LIMIT = 20.0
# Lambda's limit for an answer; a line of the channel must hold it, and an event of 128 KB.
_LINE_LIMIT = 6 * 1024 * 1024


@dataclass(frozen=True)
class FunctionDefinition:
    """A Lambda function as Chalice would deploy it; `timeout` is in seconds."""

    name: str
    handler: str
    timeout: int
    memory_mb: int
    variables: Mapping[str, str] = field(default_factory=dict)


class Function:
    """A function with up to `size` environments, each with one event at a time.

    Environments start when an event needs one and then stay warm. Events wait for one in the
    order in which they came.
    """

    def __init__(
        self,
        definition: FunctionDefinition,
        project: Path,
        surroundings: Mapping[str, str],
        size: int,
    ) -> None:
        self.definition = definition
        self._project = project
        self._surroundings = surroundings
        self._free = asyncio.Semaphore(size)
        self._warm: list[Environment] = []
        self._all: set[Environment] = set()

    async def invoke(self, event: Any, patience: float | None = None) -> Outcome:
        """Run the function on an event and give what became of it.

        The caller waits for `patience` seconds at most, if it is given. As with API Gateway and
        Lambda, a function that runs by then goes on until its own timeout.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                await self._free.acquire()
        except TimeoutError:
            return TimedOut(patience or 0.0)
        running = asyncio.create_task(self._run(event))
        running.add_done_callback(lambda _: self._free.release())
        left = None if patience is None else patience - (time.monotonic() - started)
        done, _ = await asyncio.wait({running}, timeout=left)
        return running.result() if done else TimedOut(patience or 0.0)

    async def stop(self) -> None:
        """Kill every environment."""
        await asyncio.gather(*(self._discard(environment) for environment in list(self._all)))

    async def _run(self, event: Any) -> Outcome:
        try:
            environment = await self._environment()
        except (ChildError, OSError) as error:
            return Failed(str(error))
        outcome = await environment.invoke(event, self.definition.timeout)
        if environment.usable:
            self._warm.append(environment)
        else:
            await self._discard(environment)
        return outcome

    async def _environment(self) -> Environment:
        while self._warm:
            environment = self._warm.pop()
            if environment.usable:
                return environment
            await self._discard(environment)
        environment = await Environment.start(self.definition, self._project, self._surroundings)
        self._all.add(environment)
        return environment

    async def _discard(self, environment: Environment) -> None:
        self._all.discard(environment)
        await environment.kill()


class Environment:
    """The gateway's end of one execution environment."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._name = name
        self._process = process
        self._reader = reader
        self._writer = writer
        self._hung = False

    @classmethod
    async def start(
        cls, definition: FunctionDefinition, project: Path, surroundings: Mapping[str, str]
    ) -> Environment:
        """Start a process and import the app in it; raises ChildError with the traceback."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(_SCRIPT),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                cwd=project,
                env={**surroundings, **lambda_variables(definition, project)},
                start_new_session=True,
            )
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LINE_LIMIT)
        environment = cls(definition.name, process, reader, writer)
        outcome = await environment._result(_START_LIMIT)
        if isinstance(outcome, Returned):
            return environment
        await environment.kill()
        cause = outcome.cause if isinstance(outcome, Failed) else f"took over {_START_LIMIT:g} s"
        raise ChildError(f"execution environment of {definition.name}", f"did not start: {cause}")

    @property
    def usable(self) -> bool:
        """Tell whether it can take another event."""
        return not (self._hung or self._reader.at_eof() or self._process.returncode is not None)

    async def invoke(self, event: Any, timeout: float) -> Outcome:
        """Run the function on one event for `timeout` seconds at most."""
        invocation = {
            "requestId": str(uuid.uuid4()),
            "deadline": time.time() + timeout,
            "event": event,
        }
        self._writer.write(json.dumps(invocation).encode() + b"\n")
        return await self._result(timeout)

    async def kill(self) -> None:
        """End the process, and whatever a handler has started in it, at once."""
        self._writer.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def _result(self, timeout: float) -> Outcome:
        try:
            async with asyncio.timeout(timeout):
                line = await self._reader.readline()
        except TimeoutError:
            self._hung = True
            return TimedOut(timeout)
        except ValueError:
            self._hung = True
            return Failed(f"the answer of {self._name} is over {_LINE_LIMIT} bytes")
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            self._hung = True
            return Failed(f"the execution environment of {self._name} ended without an answer")
        answer = json.loads(line)
        if "error" in answer:
            return Failed(answer["error"], answer.get("raised"))
        return Returned(answer["result"])


def lambda_variables(definition: FunctionDefinition, project: Path) -> dict[str, str]:
    """Give the environment variables that Lambda sets for a function, and the function's own."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "_HANDLER": definition.handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(definition.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": definition.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{definition.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}",
        "LAMBDA_TASK_ROOT": str(project),
        "TZ": ":UTC",
        **definition.variables,
    }
