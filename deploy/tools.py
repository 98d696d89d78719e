"""Looks at the file of tools before it is deployed: a mistake in it would cost the tools."""

from __future__ import annotations

from pathlib import Path

from deploy.errors import DeployError
from parley.errors import ConfigurationError
from parley.tools.check import check_catalog

FOLDER = Path(__file__).resolve().parent.parent / "tools"


def check_tools(name: str, private_hosts: str, languages: str, folder: Path = FOLDER) -> None:
    """Check the file that a deployment names.

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


def _entries(value: str) -> list[str]:
    return value.replace(",", " ").split()
