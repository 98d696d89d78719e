"""A template, running: gateway, functions and services of one stack in one place."""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
from aiohttp import web

from local.gateway import management, static
from local.gateway.connections import Connections
from local.gateway.static import Mount
from local.gateway.websocket import Limits, WebSocketGateway
from local.runtime import invoke_api
from local.runtime.service import LambdaService
from local.services.aws import AwsServices
from local.template.model import Stack
from local.template.reader import read_stack

MAX_BODY_BYTES = 8 * 1024 * 1024


class PortInUse(Exception):
    """A port is taken; says which, and what option changes it."""


@dataclass(frozen=True)
class Options:
    """How a stack is run.

    Attributes:
        port: of the plain listener; 0 for any.
        tls_port: of the TLS listener, which the functions post to; 0 for any.
        prewarm: environments that each function has from the start.
        environment: variables over the template's, by logical id of the function.
        log: takes a source (a function, or `gateway`) and a line.
    """

    template: Path
    parameters: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 3001
    tls_port: int = 0
    region: str = "us-east-1"
    mounts: list[Mount] = field(default_factory=list)
    prewarm: int = 0
    dynamodb_endpoint: str = ""
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    log: Callable[[str, str], None] = lambda _source, _line: None


class LocalStack:
    """Runs a stack while it is entered.

    Raises:
        TemplateError: on entering, the template cannot be served.
        PortInUse: on entering, a port is taken.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._services = AwsServices(options.dynamodb_endpoint)
        self._folder = tempfile.TemporaryDirectory(prefix="local-stack-")
        self._runner: web.AppRunner | None = None
        self._lambda: LambdaService | None = None
        self._gateway: WebSocketGateway | None = None
        self.stack: Stack
        self.info: dict[str, Any] = {}

    async def __aenter__(self) -> LocalStack:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        options = self._options
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        port, tls_port = _free_port(options.host, options.port), _free_port("", options.tls_port)
        domain_name = f"localhost:{tls_port}"
        self.stack = read_stack(options.template, options.parameters, options.region, domain_name)
        tls, ca_bundle = self._certificate()
        moto = asyncio.create_task(self._services.start())
        lambda_endpoint = f"http://{options.host}:{port}"
        await moto
        creating = asyncio.create_task(self._services.create(self.stack))
        variables = self._services.variables(options.region, lambda_endpoint, str(ca_bundle))
        functions = self.stack.functions
        for function in functions:
            function.environment.update(options.environment.get(function.logical_id, {}))
        self._lambda = LambdaService(functions, variables, options.log)
        apis = {api.stage: api for api in self.stack.apis}
        connections = Connections()
        self._gateway = WebSocketGateway(
            apis,
            self._lambda,
            connections,
            domain_name,
            options.limits,
            lambda line: options.log("gateway", line),
        )
        app.add_routes(invoke_api.routes(self._lambda))
        app.add_routes(management.routes(apis, connections))
        app.router.add_get("/_local/stack.json", self._describe)
        if apis:
            stages = "|".join(apis)
            app.router.add_get(f"/{{stage:{stages}}}", self._gateway.handle)
        app.add_routes(static.routes(options.mounts))
        if not options.mounts and apis:
            app.router.add_get("/{stage}", self._gateway.handle)
        await self._listen(app, port, tls_port, tls)
        self.info = self._info(port, tls_port, lambda_endpoint, str(ca_bundle))
        await asyncio.gather(creating, self._lambda.start(options.prewarm))

    async def _stop(self) -> None:
        if self._gateway is not None:
            await self._gateway.stop()
        if self._lambda is not None:
            await self._lambda.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._services.stop()
        self._folder.cleanup()

    async def _listen(
        self, app: web.Application, port: int, tls_port: int, tls: ssl.SSLContext
    ) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        host = self._options.host
        sites = [
            (web.TCPSite(self._runner, host, port), port, "--port"),
            # `localhost` may be ::1 as well; the functions connect to it by that name.
            (
                web.TCPSite(self._runner, "127.0.0.1", tls_port, ssl_context=tls),
                tls_port,
                "--tls-port",
            ),
        ]
        for site, number, option in sites:
            try:
                await site.start()
            except OSError:
                raise PortInUse(
                    f"Port {number} is in use. Stop what uses it, or choose another with {option}."
                ) from None

    def _certificate(self) -> tuple[ssl.SSLContext, Path]:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        bundle = Path(self._folder.name) / "authority.pem"
        authority.cert_pem.write_to_path(str(bundle))
        return context, bundle

    def _info(
        self, port: int, tls_port: int, lambda_endpoint: str, ca_bundle: str
    ) -> dict[str, Any]:
        stages = [api.stage for api in self.stack.apis]
        stage = stages[0] if stages else ""
        return {
            "websocket_url": f"ws://localhost:{port}/{stage}",
            "wss_url": f"wss://localhost:{tls_port}/{stage}",
            "management_url": f"https://localhost:{tls_port}/{stage}",
            "static_url": f"http://localhost:{port}/",
            "lambda_endpoint": lambda_endpoint,
            "aws_endpoint": self._services.endpoint,
            "dynamodb_endpoint": self._services.dynamodb_endpoint,
            "outputs": self.stack.outputs,
            "functions": {f.logical_id: f.name for f in self.stack.functions},
            "tables": {table.logical_id: table.name for table in self.stack.tables},
            "ca_bundle": ca_bundle,
            "notices": self.stack.notices,
        }

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(self.info), content_type="application/json")


def _free_port(host: str, wanted: int) -> int:
    """The wanted port, or one that the system chooses now: URLs must be known beforehand."""
    if wanted:
        return wanted
    import socket

    with socket.socket() as probe:
        probe.bind((host or "127.0.0.1", 0))
        return int(probe.getsockname()[1])
