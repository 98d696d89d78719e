"""The tools of a deployment, built from the deployer's file.

A deployment without tools imports nothing for them. A mistake in the file costs the tools, and
never a turn: health and the log say what is wrong.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parley.aws.api_keys import ApiKeys
from parley.config import TOOLS_FILE, Deployment
from parley.deployer_files import declares_anything, find_deployer_file
from parley.errors import ConfigurationError
from parley.providers import registry
from parley.providers.checks import Check, Unhealthy
from parley.tools.toolbox import NO_TOOLS, Toolbox

if TYPE_CHECKING:
    from parley.tools.catalog import Catalog
    from parley.tools.registry import ToolContext

Log = Callable[[str, dict[str, Any]], None]

SPARE_ROUNDS = 16
"""How many rounds of calls a history may have among its messages before it has fewer of those."""


def build_toolbox(deployment: Deployment, log: Log) -> Toolbox:
    """Build the deployment's tools; none if it declares none, or can call none.

    Args:
        log: gets what is wrong, and what fails later.
    """
    try:
        file = _file(deployment)
        if file is None:
            return NO_TOOLS
        if remark := _remark(deployment):
            log("tools_not_offered", {"advice": remark})
        if not registry.RESPONDERS[deployment.responder].calls_tools:
            return NO_TOOLS
        from parley.tools.catalog import read_catalog

        catalog = read_catalog(
            file,
            languages=deployment.languages,
            private_hosts=deployment.private_tool_hosts,
        )
    except ConfigurationError as error:
        log("tools_refused", {"advice": str(error)})
        return NO_TOOLS
    return _toolbox(catalog, _context(deployment, log))


def build_check(
    deployment: Deployment, read_secret: Callable[[str], Awaitable[str]] | None
) -> Check | None:
    """Build the check of the deployer's files: tools and agents; None if there is nothing in them.

    Args:
        read_secret: reads an entry of the tools' secret; None if there is none.
    """
    from parley.agents.check import check_agents

    try:
        file, agents = _file(deployment), check_agents()
    except ConfigurationError as error:
        return functools.partial(_refuse, str(error))
    if file is None and not agents:
        return None

    async def check() -> str:
        if file is None:
            return ""
        if not registry.RESPONDERS[deployment.responder].calls_tools:
            raise Unhealthy(_remark(deployment))
        from parley.tools.check import check_catalog

        try:
            catalog = check_catalog(
                file,
                languages=deployment.languages,
                private_hosts=deployment.private_tool_hosts,
            )
        except ConfigurationError as error:
            raise Unhealthy(str(error).replace("\n", " ")) from None
        for owner, name in _secrets(catalog):
            if read_secret is None:
                raise Unhealthy(f"{owner} needs the secret {name}: set ToolSecretsArn.")
            if not await _read(read_secret, name):
                raise Unhealthy(f"{owner}: the secret of ToolSecretsArn has no {name}.")
        return _remark(deployment)

    return check


async def _read(read_secret: Callable[[str], Awaitable[str]], name: str) -> str:
    try:
        return await read_secret(name)
    except Exception as error:  # its text may hold a secret
        answer = getattr(error, "response", {}).get("Error", {})
        cause = answer.get("Code") or type(error).__name__
        raise Unhealthy(f"The secret of ToolSecretsArn cannot be read: {cause}.") from None


async def _refuse(sentence: str) -> None:
    raise Unhealthy(sentence)


def _file(deployment: Deployment) -> Path | None:
    """Return the deployer's file; None if there is nothing in it.

    Raises:
        ConfigurationError: one that the deployer has named is not there.
    """
    file = find_deployer_file(deployment.tools_file)
    if file is None and deployment.tools_file != TOOLS_FILE:
        raise ConfigurationError(
            f"ToolsFile: there is no {deployment.tools_file} in the folder tools/."
        )
    return file if file is not None and declares_anything(file) else None


def _remark(deployment: Deployment) -> str:
    """Return who cannot call the declared tools, in a sentence; empty if everybody can."""
    able = " or ".join(name for name, each in registry.RESPONDERS.items() if each.calls_tools)
    if not registry.RESPONDERS[deployment.responder].calls_tools:
        return (
            f"{deployment.tools_file} declares tools, and Responder {deployment.responder} calls "
            f"none: set Responder to {able}, or declare none."
        )
    second = deployment.fallback_responder
    if second and not registry.RESPONDERS[second].calls_tools:
        return (
            f"FallbackResponder {second} calls no tools: while it takes over, replies do without. "
            f"To have them, set it to {able}."
        )
    return ""


def _secrets(catalog: Catalog) -> list[tuple[str, str]]:
    """Return which entries of the tools' secret are needed, and by whom."""
    named = [(spec.name, str(spec.options.get("secret", ""))) for spec in catalog.specs]
    named += [(f"mcp.{server.name}", server.secret) for server in catalog.servers]
    return [(owner, name) for owner, name in named if name]


def _toolbox(catalog: Catalog, context: ToolContext) -> Toolbox:
    from parley.tools.registry import build_list, build_tool

    return Toolbox(
        catalog.specs,
        lambda spec: build_tool(spec, context),
        [build_list(server, context) for server in catalog.servers],
    )


def _context(deployment: Deployment, log: Log) -> ToolContext:
    from parley.tools.registry import ToolContext

    # Made when a tool needs them: a client of AWS costs a cold start 10 ms.
    keys = functools.cache(lambda: ApiKeys(deployment.tool_secret_arn))

    async def read_secret(name: str, *, fresh: bool = False) -> str:
        return await keys().read(name, fresh=fresh) if deployment.tool_secret_arn else ""

    return ToolContext(
        stack=deployment.stack_name,
        read_secret=read_secret,
        private_hosts=frozenset(deployment.private_tool_hosts),
        log=log,
        region=os.environ.get("AWS_REGION", ""),
    )
