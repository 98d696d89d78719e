"""A template, running: gateway, functions and services of one stack in one place."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
from aiohttp import web

from local.callers import callers_of
from local.faults import routes as fault_routes
from local.faults.faults import Faults
from local.faults.latency import Latency
from local.faults.plan import Plan
from local.gateway import management, static
from local.gateway.connections import Connections
from local.gateway.static import Mount
from local.gateway.traffic import Traffic
from local.gateway.websocket import Limits, WebSocketGateway
from local.inspector import routes as inspector_routes
from local.inspector.journal import Journal
from local.permissions import web as permissions
from local.permissions.guard import Guard
from local.permissions.identities import Directory
from local.runtime import invoke_api
from local.runtime.environment import Surroundings
from local.runtime.service import LambdaService, ServiceOptions
from local.services.aws import AwsServices
from local.template.intrinsics import ACCOUNT_ID
from local.template.model import Function, Stack
from local.template.reader import read_stack
from local.workspace import Workspace

MAX_BODY_BYTES = 8 * 1024 * 1024
BACKLOG = 128
DEFAULT_HOST = "127.0.0.1"


class PortInUse(Exception):
    """A port is taken; says which, and what option changes it."""


@dataclass(frozen=True)
class Options:
    """How a stack is run.

    Attributes:
        port: of the plain listener; 0 for any.
        tls_port: of the TLS listener, which the functions post to; 0 for any.
        prewarm: environments that each function has from the start.
        environment: variables over the template's, by logical id of the function;
            `Parameters` for all of them.
        lambda_options: concurrency of the account, reloading, retries.
        freeze: whether environments stand still between invocations.
        limit_memory: whether one that uses more than `MemorySize` is killed.
        faults: what goes wrong from the start.
        latency: that is added to what API Gateway does.
        iam: whether functions may do only what their roles allow.
        log: takes a source (a function, `gateway` or `permissions`) and a line.
    """

    template: Path
    parameters: dict[str, str] = field(default_factory=dict)
    host: str = DEFAULT_HOST
    port: int = 3001
    tls_port: int = 0
    region: str = "us-east-1"
    mounts: list[Mount] = field(default_factory=list)
    prewarm: int = 0
    dynamodb_endpoint: str = ""
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    lambda_options: ServiceOptions = field(default_factory=ServiceOptions)
    freeze: bool = True
    limit_memory: bool = True
    faults: Plan = field(default_factory=Plan)
    latency: Latency = field(default_factory=Latency)
    iam: bool = True
    log: Callable[[str, str], None] = lambda _source, _line: None


class LocalStack:
    """Runs a stack while it is entered.

    Raises:
        TemplateError: on entering, the template cannot be served.
        PortInUse: on entering, a port is taken.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._services = AwsServices(options.dynamodb_endpoint, self._refused)
        self._guard = Guard(Directory())
        self._credentials: dict[str, dict[str, str]] = {}
        self._workspace = Workspace()
        self._sockets: list[socket.socket] = []
        self._runner: web.AppRunner | None = None
        self._lambda: LambdaService | None = None
        self._gateway: WebSocketGateway | None = None
        self.journal = Journal()
        self.faults = Faults(options.faults, self._fault)
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
        plain = self._bound(options.host, options.port, "--port")
        secure = self._bound(DEFAULT_HOST, options.tls_port, "--tls-port")
        port, tls_port = _port(plain[0]), _port(secure[0])
        starting = asyncio.create_task(self._services.start())
        await asyncio.sleep(0)  # moto starts while the template is read
        domain_name = f"localhost:{tls_port}"
        try:
            self.stack = read_stack(
                options.template, options.parameters, options.region, domain_name
            )
        except BaseException:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            raise
        await starting
        await self._give_credentials()
        tls, ca_bundle = self._certificate()
        host = DEFAULT_HOST if options.host in ("0.0.0.0", "::", "") else options.host
        lambda_endpoint = f"http://{host}:{port}"
        creating = asyncio.create_task(self._services.create(self.stack))
        variables = self._services.variables(
            options.region, lambda_endpoint, f"https://{domain_name}", str(ca_bundle)
        )
        around = Surroundings(
            endpoints=variables,
            folder=self._workspace.folder,
            log=options.log,
            observe=self.journal.add,
            freeze=options.freeze,
            limit_memory=options.limit_memory,
        )
        self._lambda = LambdaService(self._functions(), around, options.lambda_options, self.faults)
        self.info = self._info(port, tls_port, lambda_endpoint, str(ca_bundle))
        app = self._application(self._lambda, domain_name)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        for bound in plain:
            await web.SockSite(self._runner, bound).start()
        for bound in secure:
            await web.SockSite(self._runner, bound, ssl_context=tls).start()
        await asyncio.gather(creating, self._lambda.start(options.prewarm))

    async def _give_credentials(self) -> None:
        """Give every function those of its role; one set for all if permissions are off."""
        options = self._options
        if options.iam and options.dynamodb_endpoint:
            # DynamoDB Local keeps a database for each access key id.
            self.stack.notices.append(
                "Permissions are not checked: the functions share one access key for the "
                "DynamoDB that --dynamodb-endpoint names."
            )
        elif options.iam:
            callers = callers_of(self.stack)
            self.stack.notices.extend(callers.notices)
            self._guard = Guard(callers.directory)
            self._credentials = {
                logical_id: credentials.variables()
                for logical_id, credentials in callers.credentials.items()
            }
            await self._services.permit(callers.directory)

    def _refused(self, sentence: str) -> None:
        self._options.log("permissions", sentence)

    def _functions(self) -> list[Function]:
        """The functions, with the options' variables, and with inline code in a folder."""
        given = self._options.environment
        functions = []
        for function in self.stack.functions:
            own = {
                **function.environment,
                **given.get("Parameters", {}),
                **given.get(function.logical_id, {}),
            }
            variables = {name: self._local(value) for name, value in own.items()}
            credentials = self._credentials.get(function.logical_id, {})
            function = replace(function, environment={**variables, **credentials})
            if function.inline:
                folder = self._workspace.folder / function.logical_id
                folder.mkdir()
                (folder / "index.py").write_text(function.inline)
                function = replace(function, code=folder)
            functions.append(function)
        return functions

    def _local(self, text: str) -> str:
        return self._services.local(text, self._options.region)

    def _application(self, service: LambdaService, domain_name: str) -> web.Application:
        options = self._options
        apis = {api.stage: api for api in self.stack.apis}
        connections = Connections()
        traffic = Traffic(connections, self.faults, self.journal.add, options.latency)
        self._gateway = WebSocketGateway(
            apis,
            service,
            connections,
            domain_name,
            options.limits,
            lambda line: options.log("gateway", line),
            traffic,
        )
        api_ids = {stage: api.api_id for stage, api in apis.items()}
        ask_first = permissions.permissions(self._guard, ACCOUNT_ID, api_ids, self._refused)
        app = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[
                _no_other_sockets,
                inspector_routes.own_pages_only,
                traffic.middleware(),
                ask_first,
            ],
        )
        app.add_routes(invoke_api.routes(service))
        app.add_routes(management.routes(apis, connections))
        app.add_routes(permissions.control(self._guard, self._services.permit))
        app.router.add_get("/_local/stack.json", self._describe)
        app.add_routes(fault_routes.routes(self.faults))
        app.add_routes(inspector_routes.routes(self.journal))
        if apis:
            stages = "|".join(apis)
            app.router.add_get(f"/{{stage:{stages}}}", self._gateway.handle)
        app.add_routes(static.routes(options.mounts))
        if not options.mounts and apis:
            app.router.add_get("/{stage}", self._gateway.handle)
        return app

    def _fault(self, kind: str, to: str) -> None:
        """A fault has happened."""
        self._options.log("faults", f"{kind} {to}")
        self.journal.add("fault", {"fault": kind, "to": to})

    async def _stop(self) -> None:
        if self._gateway is not None:
            await self._gateway.stop()
        if self._lambda is not None:
            await self._lambda.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._services.stop()
        for bound in self._sockets:
            bound.close()
        self._workspace.remove()

    def _bound(self, host: str, port: int, option: str) -> list[socket.socket]:
        """Listening sockets, taken now: URLs must be known before anything starts.

        `localhost` is ::1 first to some clients. So that they neither fail nor find another
        program there, the same port is taken on ::1 as well, if this machine has it.
        """
        first = self._listening(host, port, option)
        if host != DEFAULT_HOST:
            return [first]
        try:
            return [first, self._listening("::1", _port(first), option)]
        except PortInUse:
            if port:
                raise
            return [first]
        except OSError:
            return [first]

    def _listening(self, host: str, port: int, option: str) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        self._sockets.append(found)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL and host == "::1":
                raise
            if error.errno == errno.EADDRINUSE:
                said = f"Port {port} is in use. Stop what uses it, or choose another with {option}."
            else:
                said = f"Port {port} cannot be used ({error.strerror}). Choose another: {option}."
            raise PortInUse(said) from None
        return found

    def _certificate(self) -> tuple[ssl.SSLContext, Path]:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        bundle = self._workspace.folder / "authority.pem"
        authority.cert_pem.write_to_path(str(bundle))
        return context, bundle

    def _info(
        self, port: int, tls_port: int, lambda_endpoint: str, ca_bundle: str
    ) -> dict[str, Any]:
        stages = [api.stage for api in self.stack.apis]
        apis = {
            api.logical_id: {
                "websocket_url": f"ws://localhost:{port}/{api.stage}",
                "wss_url": f"wss://localhost:{tls_port}/{api.stage}",
                "management_url": f"https://localhost:{tls_port}/{api.stage}",
            }
            for api in self.stack.apis
        }
        stage = stages[0] if stages else ""
        return {
            "websocket_url": f"ws://localhost:{port}/{stage}",
            "wss_url": f"wss://localhost:{tls_port}/{stage}",
            "management_url": f"https://localhost:{tls_port}/{stage}",
            "apis": apis,
            "static_url": f"http://localhost:{port}/",
            "inspector_url": f"http://localhost:{port}/_local",
            "lambda_endpoint": lambda_endpoint,
            "aws_endpoint": self._services.endpoint,
            "dynamodb_endpoint": self._services.dynamodb_endpoint,
            "outputs": {name: self._local(text) for name, text in self.stack.outputs.items()},
            "functions": {f.logical_id: f.name for f in self.stack.functions},
            "tables": {table.logical_id: table.name for table in self.stack.tables},
            "ca_bundle": ca_bundle,
            "notices": self.stack.notices,
        }

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(self.info), content_type="application/json")


def _port(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


@web.middleware
async def _no_other_sockets(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A handshake with what is no stage is 403, whatever else is served at that path."""
    wanted = request.headers.get("Upgrade", "").lower() == "websocket"
    if wanted and "stage" not in request.match_info:
        return web.json_response({"message": "Forbidden"}, status=403)
    return await handler(request)
