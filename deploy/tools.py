"""Looks at the files of tools and agents before they are deployed: a mistake in them would cost the
tools, or the sessions of an agent."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import DeployError
from parley.agents.check import check_agents
from parley.errors import ConfigurationError
from parley.tools.check import check_catalog

FOLDER = Path(__file__).resolve().parent.parent / "tools"


def check_tools(name: str, private_hosts: str, languages: str, folder: Path = FOLDER) -> None:
    """Check the file that a deployment names, and those of the agents.

    Args:
        name: the value of `ToolsFile`.
        private_hosts: that of `PrivateToolHosts`.
        languages: that of `Languages`.

    Raises:
        DeployError: it is not there, or something is wrong in it.
    """
    file = folder / name
    if not file.is_file():
        raise DeployError(f"ToolsFile: there is no {name} in the folder tools/.")
    try:
        check_catalog(file, languages=_entries(languages), private_hosts=_entries(private_hosts))
    except ConfigurationError as error:
        raise DeployError(f"The tools cannot work. Nothing was deployed.\n{error}") from None
    try:
        check_agents(str(folder))
    except ConfigurationError as error:
        raise DeployError(f"An agent cannot work. Nothing was deployed.\n{error}") from None


def _entries(value: str) -> list[str]:
    return value.replace(",", " ").split()
