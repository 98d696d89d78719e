"""`samwire start`: serves a template until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

from samwire.cli.options import stack_options
from samwire.faults.plan import BadPlan
from samwire.file_limit import allow_the_stack
from samwire.gateway.options import OptionError
from samwire.listeners import CannotListen
from samwire.log_writer import LogWriter
from samwire.runtime.concurrency import OverReserved
from samwire.services.aws import ServicesError
from samwire.services.own_key import PROFILE
from samwire.stack import LocalStack
from samwire.template.intrinsics import TemplateError


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal; returns the exit code."""
    allow_the_stack()
    try:
        return asyncio.run(_start(arguments))
    except (
        TemplateError,
        OptionError,
        CannotListen,
        ServicesError,
        BadPlan,
        OverReserved,
    ) as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


async def _start(arguments: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    with contextlib.ExitStack() as files:
        file = files.enter_context(_log_file(arguments.log_file)) if arguments.log_file else None
        out = None if arguments.quiet else sys.stderr
        log = LogWriter(out, file, colour=False if os.environ.get("NO_COLOR") else None)
        serve_task = asyncio.create_task(_serve(arguments, log))
        stop_task = asyncio.create_task(stopped.wait())
        await asyncio.wait({serve_task, stop_task}, return_when=asyncio.FIRST_COMPLETED)
        stop_task.cancel()
        serve_task.cancel()  # while it starts as well: leaving the stack ends its processes
        with contextlib.suppress(asyncio.CancelledError):
            await serve_task
    return 0


def _log_file(path: Path) -> TextIO:
    try:
        return path.open("a")
    except OSError as error:
        raise OptionError(f"--log-file: {path} cannot be written: {error.strerror}.") from None


async def _serve(arguments: argparse.Namespace, log: LogWriter) -> None:
    async with LocalStack(stack_options(arguments, log)) as stack:
        if arguments.json:
            print(json.dumps({**stack.info, "pid": os.getpid()}), flush=True)
        else:
            _show(stack.info, with_static=bool(arguments.static_dir))
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
