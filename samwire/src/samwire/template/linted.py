"""Reads a template while cfn-lint looks at it, and tells what both have against it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from samwire.template.intrinsics import TemplateError
from samwire.template.lint import Findings
from samwire.template.model import Stack
from samwire.template.problems import TemplateProblems, problems_of, told_once
from samwire.template.reader import read_stack


async def read_linted(
    template: Path,
    parameters: Mapping[str, str],
    region: str,
    domain_name: str,
    another: Callable[[], str] | None,
    stored: Mapping[str, str],
    linting: asyncio.Task[Findings],
) -> Stack:
    """Return the template once nobody has anything against it; warnings are its notices.

    Args:
        linting: what cfn-lint finds; the other arguments are those of `read_stack`.

    Raises:
        TemplateProblems: all that is wrong, a line for each.
    """
    try:
        stack = read_stack(template, parameters, region, domain_name, another, stored)
    except TemplateError as error:
        found = await linting
        raise TemplateProblems(told_once(problems_of(error), found.problems)) from None
    found = await linting
    if found.problems:
        raise TemplateProblems(found.problems)
    stack.notices.extend(found.notices)
    return stack
