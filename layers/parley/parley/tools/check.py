"""Checks the deployer's file before it is deployed.

    python -m parley.tools.check tools/tools.toml

Hosts that may be private are in the variable PRIVATE_TOOL_HOSTS, as they are deployed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from parley.deployer_files import declares_anything
from parley.errors import ConfigurationError
from parley.tools.arguments import schema_problem
from parley.tools.catalog import Catalog, read_catalog


def check_catalog(
    file: Path, *, languages: Sequence[str], private_hosts: Collection[str] = ()
) -> Catalog:
    """Read the deployer's file as a turn does, and compile every schema as well.

    Raises:
        ConfigurationError: something is wrong in it; a sentence for each entry.
    """
    if not declares_anything(file):
        return Catalog()
    catalog = read_catalog(file, languages=languages, private_hosts=private_hosts)
    problems = [
        f"{file.name}: {spec.name}: its parameters are no valid JSON Schema: {problem}."
        for spec in catalog.specs
        if (problem := schema_problem(spec.offer.schema))
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return catalog


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    if len(arguments) != 1:
        print("usage: python -m parley.tools.check FILE", file=sys.stderr)
        return 2
    file = Path(arguments[0])
    hosts = os.environ.get("PRIVATE_TOOL_HOSTS", "").replace(",", " ").split()
    try:
        catalog = check_catalog(file, languages=("en",), private_hosts=hosts)
    except OSError as error:
        print(f"{file}: {error.strerror}.", file=sys.stderr)
        return 2
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file}: {_summary(catalog)}.")
    return 0


def _summary(catalog: Catalog) -> str:
    tools = [f"{spec.name} ({spec.kind}, {spec.effect})" for spec in catalog.specs]
    servers = [f"tools of {server.name} (mcp, {server.effect})" for server in catalog.servers]
    return ", ".join([*tools, *servers]) or "no tool is declared"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
