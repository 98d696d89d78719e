"""`samwire validate`: says what AWS would refuse in a template, without serving it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from samwire.cli.parameters import stored_parameters, template_parameters
from samwire.runtime.interpreter import other_runtimes, refuse_what_cannot_run
from samwire.template.intrinsics import TemplateError
from samwire.template.lint import Findings, lint
from samwire.template.linted import read_linted
from samwire.template.model import Stack

_NOWHERE = "localhost:0"
"""No API listens: nothing is served."""


def run(arguments: argparse.Namespace) -> int:
    """Check the template; returns the exit code, 2 if it cannot be served."""
    try:
        stack = asyncio.run(_checked(arguments))
    except TemplateError as problem:
        print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    for notice in [*stack.notices, *other_runtimes(stack.functions)]:
        print(f"Note: {notice}")
    print(f"{arguments.template} is valid: {_contents(stack)}.")
    return 0


async def _checked(arguments: argparse.Namespace) -> Stack:
    parameters, stored = template_parameters(arguments), stored_parameters(arguments.ssm_parameters)
    lint_task = asyncio.create_task(_findings(arguments, parameters, stored))
    await asyncio.sleep(0)  # it starts while the template is read
    template, region = arguments.template, arguments.region
    stack = await read_linted(template, parameters, region, _NOWHERE, None, stored, lint_task)
    refuse_what_cannot_run(stack)
    return stack


async def _findings(
    arguments: argparse.Namespace, parameters: dict[str, str], stored: dict[str, str]
) -> Findings:
    if arguments.no_lint:
        return Findings()
    return await lint(
        arguments.template,
        parameters,
        arguments.region,
        stored,
        lambda sentence: print(sentence, file=sys.stderr),
    )


def _contents(stack: Stack) -> str:
    counts = {
        "WebSocket API": len({api.logical_id for api in stack.apis}),
        "HTTP API": len({api.logical_id for api in stack.http_apis}),
        "function": len(stack.functions),
        "table": len(stack.tables),
    }
    parts = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items() if n]
    return ", ".join(parts) or "no APIs and no functions"
