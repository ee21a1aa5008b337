"""The project as the deployment tools see it, and an AWS to deploy it to.

moto lacks one call of `chalice deploy`: apigatewayv2 CreateDeployment. The `aws` fixture adds it to
the test's own server. It records the deployment with the routes that the API has at that moment;
these are what a stage of API Gateway would serve from then on. The fixture also adds
GetRouteResponses, because moto creates route responses but does not list them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.apigatewayv2 import urls
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
STAGES = ("dev", "prod")
REGION = "eu-central-1"


@dataclass(frozen=True)
class Project:
    """A copy of the files that the deployment commands read, to run the commands in."""

    folder: Path

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> str:
        """Run a command of this Python environment, with the given AWS settings only.

        Return its standard output. Raise `CalledProcessError` if it fails, after printing all of
        its output.
        """
        program, *arguments = command
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        nowhere = str(self.folder / "no-such-file")
        aws = {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        finished = subprocess.run(
            [Path(sys.executable).parent / program, *arguments],
            cwd=self.folder,
            env={**inherited, **aws, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,  # packaging downloads requirements.txt
            check=False,
        )
        sys.stdout.write(finished.stdout)
        sys.stderr.write(finished.stderr)
        finished.check_returncode()
        return finished.stdout

    def package(self, stage: str) -> Path:
        """Package the stage as documented and return the folder of the package."""
        self.run("python", "-m", "provision.package", "--stage", stage)
        return self.folder / "build" / stage


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Copy the project without the files that earlier commands left in it."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("app.py", "requirements.txt"):
        shutil.copy(ROOT / name, folder)
    leftovers = shutil.ignore_patterns("__pycache__", "deployed", "deployments", "venv")
    for name in ("chalicelib", ".chalice", "provision"):
        shutil.copytree(ROOT / name, folder / name, ignore=leftovers)
    return Project(folder)


@dataclass(frozen=True)
class Deployment:
    """One call of CreateDeployment: a snapshot of the routes, with or without a stage.

    `responding` are the routes that have a route response.
    """

    id: str
    api_id: str
    stage: str | None
    routes: frozenset[str]
    responding: frozenset[str]


@dataclass(frozen=True)
class Aws:
    """A moto server and the API deployments in it."""

    endpoint: str
    deployments: list[Deployment] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point a command at this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this server."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        # The service is a variable, so the type checker cannot know the client.
        make: Any = session.client
        return make(service, endpoint_url=self.endpoint)


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """Run a moto server with the missing calls on a free port of the loopback interface."""
    deployments: list[Deployment] = []

    def create_deployment(self: ApiGatewayV2Response) -> tuple[int, dict[str, Any], str]:
        api_id = self.path.split("/")[-2]
        routes = self.apigatewayv2_backend.get_api(api_id).routes.values()
        deployment = Deployment(
            id=f"deployment{len(deployments)}",
            api_id=api_id,
            stage=json.loads(self.body).get("stageName"),
            routes=frozenset(route.route_key for route in routes),
            responding=frozenset(route.route_key for route in routes if route.route_responses),
        )
        deployments.append(deployment)
        answer = {"deploymentId": deployment.id, "deploymentStatus": "DEPLOYED"}
        return 201, {}, json.dumps(answer)

    def get_route_responses(self: ApiGatewayV2Response) -> tuple[int, dict[str, Any], str]:
        *_, api_id, _, route_id, _ = self.path.split("/")
        route = self.apigatewayv2_backend.get_api(api_id).routes[route_id]
        items = [response.to_json() for response in route.route_responses.values()]
        return 200, {}, json.dumps({"items": items})

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as moto:
        for method in (create_deployment, get_route_responses):
            moto.setattr(ApiGatewayV2Response, method.__name__, method, raising=False)
        moto.setitem(
            urls.url_paths,
            "{0}/v2/apis/(?P<api_id>[^/]+)/deployments$",
            ApiGatewayV2Response.dispatch,
        )
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield Aws(f"http://{host}:{port}", deployments)
        finally:
            server.stop()
