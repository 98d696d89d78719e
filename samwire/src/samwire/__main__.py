"""The `samwire` command: AWS on one machine.

samwire start --template template.yaml --parameter-overrides Key=value
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samwire.faults.latency import latency_of_option
from samwire.faults.plan import BadPlan, Plan, plan_of_option
from samwire.file_limit import allow_the_stack
from samwire.gateway.options import Assumptions, Limits, OptionError
from samwire.gateway.static import Mount
from samwire.listeners import PortInUse
from samwire.log_writer import LogWriter
from samwire.runtime.concurrency import ACCOUNT_LIMIT, OverReserved
from samwire.runtime.event_queue import RETRY_DELAY_S
from samwire.runtime.service import ServiceOptions
from samwire.services.aws import ServicesError
from samwire.services.own_key import PROFILE
from samwire.stack import LocalStack, Options
from samwire.template.intrinsics import TemplateError


def main(command_line: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Args:
        command_line: what follows the command's name; None for what this process was given.
    """
    arguments = _parser().parse_args(command_line)
    _forget_the_developers_account()
    allow_the_stack()
    try:
        return asyncio.run(_start(arguments))
    except (
        TemplateError,
        OptionError,
        PortInUse,
        ServicesError,
        BadPlan,
        OverReserved,
    ) as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def options_of(command_line: Sequence[str], log: LogWriter) -> Options:
    """What `samwire start` makes of its options, for a stack inside a program.

    Args:
        command_line: what follows `samwire start`.

    Raises:
        BadPlan, OptionError, TemplateError: an option is not as it should be.
    """
    return _options(_parser().parse_args(["start", *command_line]), log)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="samwire", description="AWS on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_start(commands.add_parser("start", help="serve a SAM template"))
    return parser


def _forget_the_developers_account() -> None:
    """Nothing here may reach a real account, or fail over its profile."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--template", type=Path, default=Path("template.yaml"))
    parser.add_argument("--parameter-overrides", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--parameter-file", metavar="FILE", help="JSON: the same; - reads it from standard input"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001, help="0 for any (default 3001)")
    parser.add_argument("--tls-port", type=int, default=0, help="0 for any (the default)")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--env-vars", type=Path, help="JSON: variables by logical id of the function"
    )
    parser.add_argument(
        "--static", action="append", default=[], metavar="[/PREFIX=]DIR", help="serve a folder"
    )
    parser.add_argument("--prewarm", type=int, default=0, metavar="N")
    parser.add_argument("--prewarm-only", action="append", default=[], metavar="FUNCTION")
    parser.add_argument(
        "--dynamodb-endpoint", default=os.environ.get("DYNAMODB_ENDPOINT", ""), metavar="URL"
    )
    parser.add_argument(
        "--concurrency", type=int, default=ACCOUNT_LIMIT, metavar="N", help="of the account"
    )
    parser.add_argument(
        "--retry-delay",
        type=float,
        default=RETRY_DELAY_S,
        metavar="SECONDS",
        help="before an asynchronous invocation that failed is tried again (60 on AWS)",
    )
    parser.add_argument("--no-reload", action="store_true", help="do not look for changed sources")
    parser.add_argument(
        "--no-freeze", action="store_true", help="let functions go on between invocations"
    )
    parser.add_argument(
        "--no-memory-limit", action="store_true", help="kill nothing that exceeds its MemorySize"
    )
    parser.add_argument(
        "--latency", default="{}", metavar="FILE|JSON", help="time to add to AWS's hops"
    )
    parser.add_argument("--faults", default="", metavar="FILE|JSON", help="what is to go wrong")
    parser.add_argument(
        "--ssm-parameters", default="{}", metavar="FILE|JSON", help="SSM's parameter store"
    )
    parser.add_argument("--no-lint", action="store_true", help="do not ask cfn-lint")
    parser.add_argument("--no-iam", action="store_true", help="let every function do everything")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="be reached by this name"
    )
    parser.add_argument(
        "--allow-navigation", action="store_true", help="let other sites' links lead to the APIs"
    )
    parser.add_argument(
        "--own-origins",
        default="",
        metavar="PARAMETER",
        help="lists origins that an API takes; add those of the pages served here",
    )
    limits = Limits()
    parser.add_argument("--idle-timeout", type=float, default=limits.idle_s, metavar="SECONDS")
    parser.add_argument("--max-duration", type=float, default=limits.duration_s, metavar="SECONDS")
    parser.add_argument(
        "--connection-rate", type=float, default=limits.connections_per_s, metavar="PER_SECOND"
    )
    parser.add_argument(
        "--request-rate", type=float, default=limits.requests_per_s, metavar="PER_SECOND"
    )
    parser.add_argument("--request-burst", type=float, default=limits.burst, metavar="N")
    parser.add_argument(
        "--assume", action="append", default=[], metavar="NAME=VALUE", help="see docs/local.md"
    )
    parser.add_argument(
        "--assume-two-way", action="store_true", help="reply without a route response too"
    )
    parser.add_argument("--strict-frames", action="store_true", help="close on frames over 32 KB")
    parser.add_argument("--serialize", action="store_true", help="one message after the other")
    parser.add_argument("--verify-signatures", action="store_true", help="of @connections")
    parser.add_argument("--json", action="store_true", help="say what runs in one JSON line")
    parser.add_argument("--quiet", action="store_true", help="no log on the terminal")
    parser.add_argument("--log-file", type=Path, help="write the log there too")


def _options(arguments: argparse.Namespace, log: LogWriter) -> Options:
    parameters = _parameters(arguments.parameter_file)
    for text in arguments.parameter_overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise TemplateError(f"--parameter-overrides: expected KEY=VALUE, got {text!r}.")
        parameters[key] = value
    latency = latency_of_option(arguments.latency)
    return Options(
        template=arguments.template,
        parameters=parameters,
        host=arguments.host,
        port=arguments.port,
        tls_port=arguments.tls_port,
        region=arguments.region,
        mounts=[Mount.parsed(text) for text in arguments.static],
        prewarm=arguments.prewarm,
        prewarm_only=arguments.prewarm_only,
        dynamodb_endpoint=arguments.dynamodb_endpoint,
        environment=_variables(arguments.env_vars),
        lambda_options=ServiceOptions(
            concurrency=arguments.concurrency,
            reload=not arguments.no_reload,
            retry_delay_s=arguments.retry_delay,
            event_delay_s=latency.event_ms / 1000,
        ),
        freeze=not arguments.no_freeze,
        limit_memory=not arguments.no_memory_limit,
        latency=latency,
        faults=plan_of_option(arguments.faults) if arguments.faults else Plan(),
        limits=Limits(
            arguments.idle_timeout,
            arguments.max_duration,
            arguments.connection_rate,
            arguments.request_rate,
            arguments.request_burst,
        ),
        assumptions=_assumptions(arguments),
        allow_hosts=arguments.allow_host,
        allow_navigation=arguments.allow_navigation,
        own_origins=arguments.own_origins,
        verify_signatures=arguments.verify_signatures,
        iam=not arguments.no_iam,
        lint=not arguments.no_lint,
        stored=_stored(arguments.ssm_parameters),
        log=log,
    )


def _assumptions(arguments: argparse.Namespace) -> Assumptions:
    flags = {
        "two-way": arguments.assume_two_way,
        "strict-frames": arguments.strict_frames,
        "serialize": arguments.serialize,
    }
    chosen = [name for name, given in flags.items() if given]
    return Assumptions().changed([*chosen, *arguments.assume])


def _parameters(path: str | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        found = json.loads(sys.stdin.read() if path == "-" else Path(path).read_text())
    except OSError as error:
        raise TemplateError(f"--parameter-file: {error}") from None
    except ValueError as error:
        raise TemplateError(f"--parameter-file: {path} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise TemplateError(f"--parameter-file: expected an object, values by name, in {path}.")
    return {str(name): str(value) for name, value in found.items()}


def _stored(text: str) -> dict[str, str]:
    try:
        found = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except OSError as error:
        raise TemplateError(f"--ssm-parameters: {error}") from None
    except ValueError as error:
        raise TemplateError(f"--ssm-parameters: not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise TemplateError("--ssm-parameters: expected an object, values by name.")
    return {str(name): str(value) for name, value in found.items()}


def _variables(path: Path | None) -> dict[str, dict[str, str]]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise TemplateError(f"--env-vars: {error}") from None
    except ValueError as error:
        raise TemplateError(f"--env-vars: {path} is not valid JSON: {error}") from None
    return {str(name): {str(k): str(v) for k, v in vs.items()} for name, vs in found.items()}


async def _start(arguments: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    with contextlib.ExitStack() as files:
        file = files.enter_context(arguments.log_file.open("a")) if arguments.log_file else None
        out = None if arguments.quiet else sys.stderr
        log = LogWriter(out, file, colour=False if os.environ.get("NO_COLOR") else None)
        serving = asyncio.create_task(_serve(arguments, log))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()  # while it starts as well: leaving the stack ends its processes
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    return 0


async def _serve(arguments: argparse.Namespace, log: LogWriter) -> None:
    async with LocalStack(_options(arguments, log)) as stack:
        if arguments.json:
            print(json.dumps({**stack.info, "pid": os.getpid()}), flush=True)
        else:
            _show(stack.info, with_static=bool(arguments.static))
        await asyncio.Event().wait()


def _show(info: dict[str, Any], *, with_static: bool) -> None:
    for notice in info["notices"]:
        print(f"Note: {notice}")
    for name, api in info["apis"].items():
        for stage in api["stages"].values():
            print(f"WebSocket API  {name}: {stage['websocket_url']}  ({stage['wss_url']})")
    for name, api in info["http_apis"].items():
        for stage in api["stages"].values():
            print(f"HTTP API       {name}: {stage['http_url']}  ({stage['https_url']})")
    if with_static:
        print(f"Static         {info['static_url']}")
    print(f"Inspector      {info['inspector_url']}")
    print(f"Lambda         {info['lambda_endpoint']}")
    print(f"DynamoDB       {info['dynamodb_endpoint']}")
    print(f"AWS tools      AWS_CONFIG_FILE={info['aws_config_file']} aws --profile {PROFILE} …")
    for name, function in info["functions"].items():
        print(f"Function       {name} ({function})")
    for name, value in info["outputs"].items():
        print(f"Output         {name} = {value}")
    print("Ctrl-C stops everything.", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
