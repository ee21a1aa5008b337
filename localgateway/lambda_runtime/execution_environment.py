"""An execution environment as the gateway sees it: a process that runs one function."""

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
from pathlib import Path
from typing import TYPE_CHECKING

from localgateway.errors import ChildError
from localgateway.lambda_runtime.channel import Channel
from localgateway.lambda_runtime.function_log import OutputPipe
from localgateway.lambda_runtime.outcomes import Failed, Outcome, Returned, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localgateway.lambda_runtime.function_log import LogSink
    from localgateway.lambda_runtime.project import FunctionDefinition

_BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
_START_TIMEOUT = 20.0
# Lambda's limit for a response; a line of the channel holds it, or an event of 128 KB.
_LINE_LIMIT = 6 * 1024 * 1024


class ExecutionEnvironment:
    """The gateway's end of one execution environment, which serves one event at a time."""

    def __init__(
        self,
        name: str,
        process: asyncio.subprocess.Process,
        channel: Channel,
        output: OutputPipe,
    ) -> None:
        self._name = name
        self._process = process
        self._channel = channel
        self._output = output
        self.answer = b""  # the last, as JSON
        self._broken = False

    @classmethod
    async def start(
        cls,
        definition: FunctionDefinition,
        project: Path,
        variables: Mapping[str, str],
        log: LogSink,
    ) -> ExecutionEnvironment:
        """Start a process that imports the app; raise `ChildError` with the traceback.

        `log` receives the lines that the process prints.
        """
        output, descriptor = await OutputPipe.open(definition.name, log)
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(_BOOTSTRAP),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                cwd=project,
                env={**variables, **lambda_variables(definition, project)},
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(descriptor)
        environment = cls(definition.name, process, await Channel.open(ours, _LINE_LIMIT), output)
        outcome = await environment._result(_START_TIMEOUT)
        if isinstance(outcome, Returned):
            return environment
        await environment.kill()
        cause = outcome.cause if isinstance(outcome, Failed) else f"took over {_START_TIMEOUT:g} s"
        raise ChildError(f"execution environment of {definition.name}", f"did not start: {cause}")

    @property
    def usable(self) -> bool:
        """Return whether the environment can serve another event."""
        ended = self._channel.closed or self._process.returncode is not None
        return not (self._broken or ended)

    @property
    def pid(self) -> int:
        """Return the id of the process."""
        return self._process.pid

    async def invoke(self, event: bytes, timeout: float) -> Outcome:
        """Run the function on one event, a line of JSON, for at most `timeout` seconds."""
        self._channel.write(
            b'{"requestId": "%b", "deadline": %f, "event": %b}\n'
            % (str(uuid.uuid4()).encode(), time.time() + timeout, event)
        )
        return await self._result(timeout)

    async def kill(self) -> None:
        """Kill the process and the processes that a handler has started in its session."""
        self._channel.close()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await self._output.drain()

    async def _result(self, timeout: float) -> Outcome:
        self.answer = b""
        try:
            line = self.answer = await self._channel.line(timeout)
        except TimeoutError:
            self._broken = True
            return TimedOut(timeout)
        except ValueError:
            self._broken = True
            return Failed(f"the response of {self._name} exceeds {_LINE_LIMIT} bytes")
        if not line:
            self._broken = True
            return Failed(f"the execution environment of {self._name} exited without a response")
        response = json.loads(line)
        if "error" in response:
            return Failed(response["error"], response.get("raised"))
        return Returned(response["result"])


def lambda_variables(definition: FunctionDefinition, project: Path) -> dict[str, str]:
    """Return the environment variables that Lambda sets, and the function's own."""
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
