"""Reads the files that describe agents: `agents/NAME.toml` beside the tools.

The first file of a name counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from parley.deployer_files import list_folders, read_toml
from parley.errors import ConfigurationError
from parley.protocol.agent_overrides import MAX_GREETING_CHARS, MAX_PROMPT_CHARS, MAX_TOOLS
from parley.protocol.messages import NO_SETTINGS, Settings, ToolName

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_SILENCE_PROMPT_CHARS = 500

Question = Annotated[str, Meta(min_length=1, max_length=MAX_SILENCE_PROMPT_CHARS)]
LanguageCode = Annotated[str, Meta(pattern="^[a-z]{2,3}$")]


class AgentFile(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says of an agent.

    Attributes:
        prompt: the instructions; the deployment's own if it has none.
        greeting: what it says first; the deployment's own if it has none.
        tools: the names of those that it may call; None for all.
        public: whether a client may choose it without a token that names it.
        settings: its own.
        silence_prompt: what it asks a silent user: a text, or a table by language.
    """

    prompt: Annotated[str, Meta(max_length=MAX_PROMPT_CHARS)] | None = None
    greeting: Annotated[str, Meta(max_length=MAX_GREETING_CHARS)] | None = None
    tools: Annotated[list[ToolName], Meta(max_length=MAX_TOOLS)] | None = None
    public: bool = False
    settings: Settings = NO_SETTINGS
    silence_prompt: Question | dict[LanguageCode, Question] | None = None


class AgentFiles:
    """The agents' files, read when they are needed.

    Args:
        folders: where a folder `agents` is looked for; None for `sys.path` and the layers.
    """

    def __init__(self, folders: Sequence[str] | None = None) -> None:
        self._folders = folders
        self._paths: dict[str, Path] | None = None
        self._read: dict[str, AgentFile] = {}

    @property
    def names(self) -> list[str]:
        """The names of all agents that have a file."""
        return sorted(self._find())

    def read(self, name: str) -> AgentFile | None:
        """Return what the file of an agent says; None if there is none.

        Raises:
            ConfigurationError: the file is invalid; it names the file and the field.
        """
        if name not in self._read:
            path = self._find().get(name)
            if path is None:
                return None
            shown = f"agents/{path.name}"
            self._read[name] = _check(read_toml(path, shown), shown)
        return self._read[name]

    def _find(self) -> Mapping[str, Path]:
        if self._paths is None:
            folders = list_folders() if self._folders is None else map(Path, self._folders)
            paths: dict[str, Path] = {}
            for path in (found for folder in folders for found in _list_files(folder)):
                paths.setdefault(path.stem, path)
            self._paths = paths
        return self._paths


def _list_files(folder: Path) -> Iterator[Path]:
    for path in sorted((folder / "agents").glob("*.toml")):
        if not _NAME.fullmatch(path.stem):
            raise ConfigurationError(
                f"agents/{path.name}: the name of an agent has 1 to 64 characters of A-Z, a-z, "
                "0-9, '_' and '-'."
            )
        yield path


def _check(found: Mapping[str, Any], shown: str) -> AgentFile:
    try:
        read = msgspec.convert(found, AgentFile)
    except msgspec.ValidationError as invalid:
        raise ConfigurationError(f"{shown}: {invalid}.") from None
    settings = found.get("settings", {})
    allowed = [name for name in Settings.__struct_fields__ if name != "record"]
    for name in settings:
        if name not in allowed:
            raise ConfigurationError(
                f"{shown}: settings.{name}: expected one of {', '.join(allowed)}."
            )
    if read.settings.record is not UNSET:
        raise ConfigurationError(f"{shown}: settings.record: consent is the user's to give.")
    if read.prompt is not None and not read.prompt.strip():
        raise ConfigurationError(f"{shown}: prompt: expected instructions; leave it out for none.")
    return read
