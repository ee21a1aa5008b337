"""One subject of the bench, in a process of its own: `python -m bench.fanout.subjects ...`.

Each posts the same message to the same connections and prints, as JSON, how many were answered
with 200, the CPU and wall seconds that it took, imports and the first post left out, and the
memory that the process has at the end.
"""

import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import boto3
import psutil
import urllib3
from botocore.config import Config
from botocore.credentials import Credentials

from chalicelib.adapters.connections_api.calls import Call, Reply
from chalicelib.adapters.connections_api.client import ConnectionsApiClient
from chalicelib.adapters.connections_api.endpoint import Endpoint
from chalicelib.adapters.connections_api.retries import backoff

STAGE = "/dev"
CREDENTIALS = Credentials("AKIDEXAMPLE", "secret", "token" * 100)  # as long as Lambda's
REGION = "eu-west-1"
BODY = json.dumps(
    {
        "type": "notification",
        "id": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        "sentAt": 1731324924561,
        "subject": "ALARM: checkout-errors",
        "message": {"state": "ALARM", "reason": "Threshold Crossed: 3 datapoints " * 8},
    }
).encode()

Run = Callable[[Iterator[str]], int]


def _client(url: str, connections: int) -> Any:
    return boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        aws_session_token=CREDENTIALS.token,
        config=Config(max_pool_connections=connections),
    )


def boto3_loop(url: str, _concurrency: int) -> Run:
    """Call `post_to_connection` for one connection after the other."""
    client = _client(url, 1)

    def run(ids: Iterator[str]) -> int:
        return sum(_posted(client, connection_id) for connection_id in ids)

    return run


def boto3_threads(url: str, concurrency: int) -> Run:
    """Call `post_to_connection` of one client from a pool of threads."""
    client = _client(url, concurrency)

    def run(ids: Iterator[str]) -> int:
        with ThreadPoolExecutor(concurrency) as pool:
            return sum(pool.map(lambda connection_id: _posted(client, connection_id), ids))

    return run


def _posted(client: Any, connection_id: str) -> bool:
    answer = client.post_to_connection(ConnectionId=connection_id, Data=BODY)
    return bool(answer["ResponseMetadata"]["HTTPStatusCode"] == 200)


def this_project(url: str, concurrency: int) -> Run:
    """Carry the posts out with the adapter, tries again and all."""
    endpoint = Endpoint.of("bench", REGION, "dev", url)
    management = ConnectionsApiClient(endpoint, CREDENTIALS, concurrency)

    def run(ids: Iterator[str]) -> int:
        delivered = 0

        def count(_call: Call, reply: Reply) -> None:
            nonlocal delivered
            delivered += reply.status == 200

        calls = (Call("POST", connection_id, BODY) for connection_id in ids)
        rest = management.send_all(calls, count, time.monotonic() + 600, retry=backoff)
        return delivered if next(rest, None) is None else -1

    return run


def unsigned_urllib3(url: str, _concurrency: int) -> Run:
    """Post without a signature, from one thread, which is the cheapest way to use the pool."""
    endpoint = Endpoint.of("bench", REGION, "dev", url)
    pool = urllib3.HTTPConnectionPool(endpoint.host, endpoint.port)

    def run(ids: Iterator[str]) -> int:
        answers = (pool.urlopen("POST", endpoint.path(name), body=BODY) for name in ids)
        return sum(answer.status == 200 for answer in answers)

    return run


def bare_sockets(url: str, concurrency: int) -> Run:
    """Write a ready request to a socket as soon as it was answered: the ceiling of the stub."""
    endpoint = Endpoint.of("bench", REGION, "dev", url)
    address = (endpoint.host, endpoint.port)
    sockets = [socket.create_connection(address) for _ in range(concurrency)]
    head = f"HTTP/1.1\r\nHost: {endpoint.authority}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    rest = head.encode() + BODY

    def run(ids: Iterator[str]) -> int:
        def post(on: socket.socket) -> int:
            name = next(ids, None)
            if name is not None:
                on.sendall(b"POST %b %b" % (endpoint.path(name).encode(), rest))
            return name is not None

        with selectors.DefaultSelector() as selector:
            for one in sockets:
                selector.register(one, selectors.EVENT_READ)
            waiting = sum(post(one) for one in sockets)
            answered = 0
            while waiting:
                for key, _ in selector.select():
                    one = cast("socket.socket", key.fileobj)
                    answered += one.recv(4096).startswith(b"HTTP/1.1 200 ")
                    waiting += post(one) - 1
        return answered

    return run


SUBJECTS = {
    subject.__name__: subject
    for subject in (boto3_loop, boto3_threads, this_project, unsigned_urllib3, bare_sockets)
}


def connection_ids(count: int, seconds: float) -> Iterator[str]:
    """Return `count` ids of API Gateway's form, or as many as are asked for in `seconds`."""
    stop = time.monotonic() + seconds
    ids = (f"L0SM9cOF{number:07}=" for number in range(count))
    return itertools.takewhile(lambda _: time.monotonic() < stop, ids)


def main() -> None:
    """Run the subject that the command line names: NAME URL CONCURRENCY COUNT SECONDS."""
    name, url, concurrency, count, seconds = sys.argv[1:]
    run = SUBJECTS[name](url, int(concurrency))
    run(iter(["warm="]))
    cpu, wall = time.process_time(), time.perf_counter()
    posts = run(connection_ids(int(count), float(seconds)))
    figures = {
        "posts": posts,
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "memory": psutil.Process().memory_info().rss,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
