"""The console's agent: acts for people through the interfaces that they have.

`python -m localgateway.console.agent JSON` runs beside the gateway while somebody uses the console.
It opens WebSockets, publishes to SNS, invokes functions and reads tables as any client does. Each
line of standard input is a request `{"id", "action", "arguments"}`; each line of standard output is
an answer `{"id", "result"}` or `{"id", "error"}`, or news `{"client": …}`.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from localgateway.console.errors import ActionError
from localgateway.console.table_reader import TableReader
from localgateway.console.trial_clients import TrialClients, Wish
from localgateway.faults_api import PATH as FAULTS_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In seconds. A function may run for 15 minutes; who invokes it here is told to look later.
_INVOKE_TIMEOUT = 60.0
_READ_TIMEOUT = 20.0
_REQUEST_LIMIT = 8 * 1024 * 1024
_RESULT_LIMIT = 100_000
_OK = 200


class Agent:
    """Carries out requests; `write` sends a message to the gateway."""

    def __init__(self, url: str, write: Callable[[dict[str, Any]], None]) -> None:
        self._write = write
        self._clients = TrialClients(url, lambda news: write({"news": news}))
        self._session = boto3.Session()
        self._pool = PoolManager(retries=False, timeout=_READ_TIMEOUT)
        self._reader: TableReader | None = None

    async def serve(self, request: Mapping[str, Any]) -> None:
        """Carry out one request and answer it."""
        try:
            action = getattr(self, f"do_{request['action']}")
            answer = {"result": await action(**request["arguments"])}
        except (ActionError, ClientError, BotoCoreError, HTTPError) as error:
            answer = {"error": str(error) or type(error).__name__}
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            answer = {"error": f"{request.get('action')}: {error!r}"}
        self._write({"id": request["id"], **answer})

    async def do_open(self, count: int, **wish: Any) -> Any:
        """Open trial clients."""
        wish["subprotocols"] = tuple(wish.get("subprotocols", ()))
        return await self._clients.open(Wish(**wish), count)

    async def do_send(self, client: int, text: str) -> None:
        """Send a message as a trial client."""
        await self._clients.send(client, text)

    async def do_close(self, client: int | None) -> None:
        """Close one trial client, or all."""
        await self._clients.close(client)

    async def do_publish(
        self, topic: str, message: str, subject: str, attributes: Mapping[str, str]
    ) -> Any:
        """Publish a message to a topic; an attribute that is a JSON array is a String.Array."""
        details: dict[str, Any] = {"TopicArn": topic, "Message": message}
        if subject:
            details["Subject"] = subject
        if attributes:
            details["MessageAttributes"] = {
                name: {
                    "DataType": "String.Array" if value.startswith("[") else "String",
                    "StringValue": value,
                }
                for name, value in attributes.items()
            }
        sns = self._client("sns", topic.split(":")[3])
        answer = await asyncio.to_thread(sns.publish, **details)
        return {"messageId": answer["MessageId"]}

    async def do_invoke(self, function: str, event: Any) -> Any:
        """Invoke a function and return what it returned, or its error."""
        client = self._client("lambda")
        payload = json.dumps(event).encode()
        answer = await asyncio.to_thread(client.invoke, FunctionName=function, Payload=payload)
        text = await asyncio.to_thread(answer["Payload"].read, _RESULT_LIMIT)
        return {"failed": "FunctionError" in answer, "payload": text.decode(errors="replace")}

    async def do_disconnect(self, connection_id: str) -> None:
        """Close a connection through `@connections`."""
        client = self._client("apigatewaymanagementapi")
        await asyncio.to_thread(client.delete_connection, ConnectionId=connection_id)

    async def do_faults(self, changes: Mapping[str, float]) -> Any:
        """Change the faults of the embedded AWS and return them."""
        url = self._client("sns").meta.endpoint_url + FAULTS_PATH
        return await asyncio.to_thread(self._post, "dynamodb", url, changes, {})

    async def do_tables(self, names: list[str]) -> list[dict[str, Any]]:
        """Return name, keys and TTL attribute of tables."""
        return await asyncio.to_thread(lambda: [self._described(name) for name in names])

    async def do_watch(self, table: str, key: str) -> None:
        """Read this table from now on, from its beginning."""
        self._reader = TableReader(self._scan, table, key)

    async def do_read(self) -> dict[str, Any]:
        """Read the table; send the changes in batches, the last as the answer."""
        if self._reader is None:
            raise ActionError("there is no table to read")
        batches = await asyncio.to_thread(list, self._reader.read())
        for batch in batches[:-1]:
            self._write({"rows": batch})
        return batches[-1]

    def _described(self, name: str) -> dict[str, Any]:
        client = self._client("dynamodb")
        schema = client.describe_table(TableName=name)["Table"]["KeySchema"]
        ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        return {
            "name": name,
            "keys": [key["AttributeName"] for key in schema],
            "ttl": ttl.get("AttributeName"),
        }

    def _scan(self, parameters: Mapping[str, Any]) -> Any:
        # boto3 would spend more time on parsing than the table on answering.
        url = self._client("dynamodb").meta.endpoint_url
        headers = {
            "X-Amz-Target": "DynamoDB_20120810.Scan",
            "Content-Type": "application/x-amz-json-1.0",
        }
        return self._post("dynamodb", url, parameters, headers)

    def _post(
        self, service: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Any:
        request = AWSRequest("POST", url, data=json.dumps(body), headers=headers)
        credentials = self._session.get_credentials()
        if credentials is None:
            raise ActionError("the shell has no AWS credentials")
        SigV4Auth(credentials, service, self._session.region_name).add_auth(request)
        answer = self._pool.request("POST", url, body=request.data, headers=dict(request.headers))
        if answer.status != _OK:
            text = answer.data.decode(errors="replace")[:500]
            raise ActionError(f"{service} answered {answer.status}: {text}")
        return answer.json()

    @functools.lru_cache(maxsize=20)  # noqa: B019 - there is one agent
    def _client(self, service: str, region: str | None = None) -> Any:
        config = Config(read_timeout=_INVOKE_TIMEOUT, retries={"total_max_attempts": 1})
        return self._session.client(cast(Any, service), region_name=region, config=config)


async def main() -> None:
    """Serve requests until standard input ends."""
    agent = Agent(json.loads(sys.argv[1])["url"], _write)
    reader = asyncio.StreamReader(limit=_REQUEST_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    serving: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(agent.serve(json.loads(line)))
        serving.add(task)
        task.add_done_callback(serving.discard)


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
