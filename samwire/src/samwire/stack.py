"""A template, running: gateway, functions and services of one stack in one place."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme
from aiohttp import web

from samwire.cross_site import CrossSiteRules, Surface
from samwire.cross_site_middleware import cross_site_middleware
from samwire.description import description_of
from samwire.faults import routes as fault_routes
from samwire.faults.faults import Faults
from samwire.faults.latency import Latency
from samwire.faults.plan import Plan
from samwire.function_credentials import issue_role_credentials, share_credentials
from samwire.gateway import static
from samwire.gateway.connections import Connections
from samwire.gateway.http_api import HttpGateway
from samwire.gateway.management import ManagementApi
from samwire.gateway.options import Assumptions, Limits
from samwire.gateway.origins import OwnOrigins
from samwire.gateway.request_authorization import Access, Authorise, allow_everything
from samwire.gateway.static import Mount
from samwire.gateway.throttle import Throttle
from samwire.gateway.traffic import Traffic
from samwire.gateway.websocket import WebSocketGateway
from samwire.inspector import routes as inspector_routes
from samwire.inspector.journal import Journal
from samwire.listeners import DEFAULT_HOST, Address, Listeners
from samwire.permissions import web as permissions
from samwire.permissions.guard import Guard
from samwire.permissions.identities import Directory
from samwire.runtime import environments_api, invoke_api
from samwire.runtime.environment import Surroundings
from samwire.runtime.interpreter import other_runtimes, refuse_what_cannot_run
from samwire.runtime.options import ServiceOptions
from samwire.runtime.service import LambdaService
from samwire.services.aws import AwsServices
from samwire.services.db_path import keep_generated
from samwire.services.own_key import FILE, PROFILE, OwnKey, write_profile
from samwire.template.api_model import HttpApi, WebSocketApi
from samwire.template.intrinsics import ACCOUNT_ID, URL_SUFFIX, TemplateError
from samwire.template.lint import Findings, lint
from samwire.template.linted import read_linted
from samwire.template.model import Function, Stack
from samwire.workspace import Workspace

MAX_BODY_BYTES = 11 * 1024 * 1024
"""Beyond what each of the APIs takes, so that each can refuse it in its own way."""
MAX_HEADER_BYTES = 16 * 1024


@dataclass(frozen=True)
class Options:
    """How a stack is run.

    Attributes:
        port: of the plain listener; 0 for any.
        tls_port: of the TLS listener, which the functions post to; 0 for any.
        prewarm: environments that each function has from the start.
        prewarm_only: logical ids of the only functions that have them; empty for all.
        db_path: the folder that keeps what is stored from one start to the next; None for none.
        environment: variables over the template's, by logical id of the function;
            `Parameters` for all of them.
        lambda_options: concurrency of the account, reloading, retries.
        freeze: whether environments stand still between invocations.
        limit_memory: whether one that uses more than `MemorySize` is killed.
        limit_processor: whether one gets the share of a processor that its memory buys.
        faults: what goes wrong from the start.
        latency: that is added to what AWS's services do.
        assumptions: what is assumed of API Gateway where nobody has established it.
        allow_hosts: other names that the stack may be reached by.
        allow_navigation: whether links of other sites may lead to the APIs.
        own_origins: the parameter that lists the origins which an API takes: it gets those of
            the pages that are served here; empty for none.
        verify_signatures: whether requests to `@connections` must be rightly signed.
        authorise: decides whether an access key may make a request to `@connections`.
        iam: whether functions may do only what their roles allow.
        lint: whether cfn-lint is asked about the template; it takes seconds the first time.
        stored: values in SSM's parameter store from the start, by name.
        log: takes a source (a function, `gateway` or `permissions`) and a line.
        progress: takes what the start waits for next, in a few words.
    """

    template: Path
    parameters: dict[str, str] = field(default_factory=dict)
    host: str = DEFAULT_HOST
    port: int = 3001
    tls_port: int = 0
    region: str = "us-east-1"
    mounts: list[Mount] = field(default_factory=list)
    prewarm: int = 0
    prewarm_only: list[str] = field(default_factory=list)
    dynamodb_endpoint: str = ""
    db_path: Path | None = None
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    lambda_options: ServiceOptions = field(default_factory=ServiceOptions)
    freeze: bool = True
    limit_memory: bool = True
    limit_processor: bool = False
    faults: Plan = field(default_factory=Plan)
    latency: Latency = field(default_factory=Latency)
    assumptions: Assumptions = field(default_factory=Assumptions)
    allow_hosts: list[str] = field(default_factory=list)
    allow_navigation: bool = False
    own_origins: str = ""
    verify_signatures: bool = False
    authorise: Authorise = allow_everything
    iam: bool = True
    lint: bool = False
    stored: dict[str, str] = field(default_factory=dict)
    log: Callable[[str, str], None] = lambda _source, _line: None
    progress: Callable[[str], None] = lambda _what: None


def _check_names(functions: list[str], stack: Stack) -> None:
    known = {function.logical_id for function in stack.functions}
    for name in functions:
        if name not in known:
            raise TemplateError(
                f"--prewarm-only: the template has no function {name}. "
                f"It has {', '.join(sorted(known))}."
            )


class LocalStack:
    """Runs a stack while it is entered.

    Raises:
        TemplateError: on entering, the template cannot be served.
        CannotListen: on entering, a port is taken.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._workspace = Workspace()
        self._profile = self._workspace.folder / FILE
        hint = f"Sign with a key of this stack: AWS_CONFIG_FILE={self._profile}, profile {PROFILE}."
        self._services = AwsServices(
            options.dynamodb_endpoint,
            self._refused,
            OwnKey(hint=hint),
            options.latency,
            options.db_path,
        )
        self._guard = Guard(Directory())
        self._credentials: dict[str, dict[str, str]] = {}
        self._listeners = Listeners(options.host)
        self._runners: list[web.AppRunner] = []
        self._lambda: LambdaService | None = None
        self._gateway: WebSocketGateway | None = None
        self._origins = OwnOrigins()
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
        main = self._listeners.open(options.port, options.tls_port)
        parameters = dict(options.parameters)
        if options.own_origins:
            self._origins = OwnOrigins.of(main, options.own_origins, parameters)
            parameters[options.own_origins] = self._origins.value
        starting = asyncio.create_task(self._services.start())
        lint_task = asyncio.create_task(self._lint(parameters))
        await asyncio.sleep(0)  # both start while the template is read
        options.progress(f"reading {options.template.name}")
        try:
            self.stack = await self._read(main, parameters, lint_task)
            _check_names(options.prewarm_only, self.stack)
            refuse_what_cannot_run(self.stack)
            self._keep_generated()
        except BaseException:
            for task in (starting, lint_task):
                task.cancel()
            await asyncio.gather(starting, lint_task, return_exceptions=True)
            raise
        options.progress("starting the database and the other services")
        await starting
        await self._give_credentials()
        tls, ca_bundle = self._certificate()
        host = DEFAULT_HOST if options.host in ("0.0.0.0", "::", "") else options.host
        lambda_endpoint = f"http://{host}:{main.port}"
        functions = self._functions()
        options.progress(f"creating the tables and loading {len(functions)} functions")
        creating = asyncio.create_task(self._services.create(self.stack))
        variables = self._services.variables(
            options.region, lambda_endpoint, f"https://{main.domain_name}", str(ca_bundle)
        )
        hosts = {
            host: (DEFAULT_HOST, self._listeners.addresses[domain_name].tls_port)
            for host, domain_name in self._hosts().items()
        }
        around = Surroundings(
            endpoints=variables,
            folder=self._workspace.folder,
            log=options.log,
            observe=self.journal.add,
            freeze=options.freeze,
            limit_memory=options.limit_memory,
            limit_processor=options.limit_processor,
            hosts=hosts,
        )
        self._lambda = LambdaService(functions, around, options.lambda_options, self.faults)
        self.info = {
            **description_of(self.stack, self._listeners.addresses, main, self._local),
            "lambda_endpoint": lambda_endpoint,
            "aws_endpoint": self._services.endpoint,
            "dynamodb_endpoint": self._services.dynamodb_endpoint,
            "ca_bundle": str(ca_bundle),
            "aws_config_file": str(self._profile),
            "db_notice": self._services.db_notice,
        }
        write_profile(self._profile, self._services.key, variables, self.info["management_url"])
        secrets = {
            own["AWS_ACCESS_KEY_ID"]: own["AWS_SECRET_ACCESS_KEY"]
            for own in (variables, *self._credentials.values())
        }
        secret_of = secrets.get if options.verify_signatures else None
        access = Access(options.region, options.authorise, secret_of)
        for app, address in self._applications(self._lambda, main, access):
            await self._listen(app, address, tls)
        await asyncio.gather(creating, self._lambda.start(options.prewarm, options.prewarm_only))
        for notice in await self._services.notices(options.region):
            self.info["notices"].append(notice)
            options.log("services", notice)

    def _keep_generated(self) -> None:
        folder = self._options.db_path
        if folder is not None:
            kept, notice = keep_generated(folder, self.stack.secrets)
            self.stack = replace(self.stack, secrets=kept)
            self.stack.notices.extend([notice] if notice else [])

    async def _lint(self, parameters: Mapping[str, str]) -> Findings:
        options = self._options
        if not options.lint:
            return Findings()
        return await lint(
            options.template,
            parameters,
            options.region,
            options.stored,
            lambda sentence: options.log("template", sentence),
        )

    async def _read(
        self, main: Address, parameters: Mapping[str, str], lint_task: asyncio.Task[Findings]
    ) -> Stack:
        """Return the template, once nobody has anything against it."""
        options = self._options
        return await read_linted(
            options.template,
            parameters,
            options.region,
            main.domain_name,
            lambda: self._listeners.another().domain_name,
            options.stored,
            lint_task,
        )

    async def _give_credentials(self) -> None:
        """Give every function those of its role; one set for all if permissions are off."""
        options = self._options
        if options.iam and not options.dynamodb_endpoint:
            callers = issue_role_credentials(self.stack)
        else:
            # DynamoDB Local keeps a database for each access key id.
            callers = share_credentials(self.stack, self._services.key.credentials)
            if options.iam:
                self.stack.notices.append(
                    "Permissions are not checked: the functions share one access key for the "
                    "DynamoDB that --dynamodb-endpoint names."
                )
        self.stack.notices.extend([*callers.notices, *other_runtimes(self.stack.functions)])
        self._guard = Guard(callers.directory)
        self._credentials = {
            logical_id: credentials.variables()
            for logical_id, credentials in callers.credentials.items()
        }
        await self._services.permit(callers.directory)

    def _refused(self, sentence: str) -> None:
        self._options.log("permissions", sentence)

    def _functions(self) -> list[Function]:
        """Return the functions, with the options' variables, and with inline code in a folder."""
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

    def _applications(
        self, service: LambdaService, main: Address, access: Access
    ) -> Iterator[tuple[web.Application, Address]]:
        """Yield what answers on each address."""
        options, stack = self._options, self.stack
        throttle, connections = Throttle(options.limits), Connections()
        traffic = Traffic(connections, self.faults, self.journal.add, options.latency)
        log = partial(options.log, "gateway")
        named = [options.host, *options.allow_hosts, *self._hosts()]
        rules = CrossSiteRules(frozenset(map(str.lower, named)), options.allow_navigation)
        gateway = self._gateway = WebSocketGateway(
            service,
            connections,
            throttle,
            access,
            options.limits,
            options.assumptions,
            options.region,
            log,
            traffic,
        )
        for domain_name, address in self._listeners.addresses.items():
            apis = {api.stage: api for api in stack.apis if api.domain_name == domain_name}
            api_ids = {stage: api.api_id for stage, api in apis.items()}
            app = web.Application(
                client_max_size=MAX_BODY_BYTES,
                middlewares=[
                    _no_other_sockets,
                    cross_site_middleware(partial(_surface, is_main=address is main), rules),
                    self._origins.middleware(log),
                    permissions.permissions(self._guard, ACCOUNT_ID, api_ids, self._refused),
                    traffic.middleware(),
                ],
            )
            if address is main:
                app.add_routes([*invoke_api.routes(service), *environments_api.routes(service)])
                app.router.add_get("/_local/stack.json", self._describe)
                app.add_routes(fault_routes.routes(self.faults))
                app.add_routes(inspector_routes.routes(self.journal))
                app.add_routes(permissions.control(self._guard, self._services.permit))
            http_apis = {a.stage: a for a in stack.http_apis if a.domain_name == domain_name}
            if http_apis:
                http = HttpGateway(http_apis, service, throttle, options.region, log)
                app.router.add_route("*", "/{path:.*}", http.handle)
            management = ManagementApi(
                apis, connections, throttle, access, options.assumptions, options.region
            )
            if apis:
                app.add_routes(management.routes())
                for end in ("", "/"):  # AWS's own examples connect with either
                    path = f"/{{stage:{'|'.join(apis)}}}{end}"
                    app.router.add_get(path, gateway.handler(apis))
            mounts = options.mounts if address is main else []
            app.add_routes(static.routes(mounts))
            if apis and not mounts:
                for end in ("", "/"):
                    app.router.add_get(f"/{{stage}}{end}", gateway.handler(apis))
            yield app, address

    async def _listen(self, app: web.Application, address: Address, tls: ssl.SSLContext) -> None:
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # HTTP APIs pass a body on as it came
            shutdown_timeout=0.5,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
        )
        self._runners.append(runner)
        await runner.setup()
        for bound in address.plain:
            await web.SockSite(runner, bound).start()
        for bound in address.secure:
            await web.SockSite(runner, bound, ssl_context=tls).start()

    def _hosts(self) -> dict[str, str]:
        """Return host and port of each API, by the name that AWS would give it."""
        apis: list[WebSocketApi | HttpApi] = [*self.stack.apis, *self.stack.http_apis]
        suffix = f"execute-api.{self._options.region}.{URL_SUFFIX}"
        return {f"{api.api_id}.{suffix}".lower(): api.domain_name for api in apis}

    def _fault(self, kind: str, to: str) -> None:
        """Note that a fault has happened."""
        self._options.log("faults", f"{kind} {to}")
        self.journal.add("fault", {"fault": kind, "to": to})

    async def _stop(self) -> None:
        if self._gateway is not None:
            await self._gateway.stop()
        if self._lambda is not None:
            await self._lambda.stop()
        for runner in self._runners:
            await runner.cleanup()
        await self._services.stop()
        self._listeners.close()
        self._workspace.remove()

    def _certificate(self) -> tuple[ssl.SSLContext, Path]:
        authority = trustme.CA()
        certificate = authority.issue_cert("localhost", "127.0.0.1", "::1", *self._hosts())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(context)
        bundle = self._workspace.folder / "authority.pem"
        authority.cert_pem.write_to_path(str(bundle))
        return context, bundle

    async def _describe(self, _request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(self.info), content_type="application/json")


def _surface(request: web.Request, *, is_main: bool) -> Surface:
    """Return what a request is for.

    Args:
        is_main: whether it came to the stack's own address; at the others there are APIs alone.
    """
    matched = request.match_info
    if request.path.startswith(inspector_routes.PREFIX) or {"function", "connection"} & set(
        matched
    ):
        return Surface.PRIVATE
    return Surface.API if "stage" in matched or not is_main else Surface.PAGE


@web.middleware
async def _no_other_sockets(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Return a handshake with what is no stage is 403, whatever else is served at that path."""
    wanted = request.headers.get("Upgrade", "").lower() == "websocket"
    if wanted and "stage" not in request.match_info:
        return web.json_response({"message": "Forbidden"}, status=403)
    return await handler(request)
