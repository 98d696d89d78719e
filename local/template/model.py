"""What of a template is served here, as plain objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.template.api_model import HttpApi, WebSocketApi


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function.

    Attributes:
        code: folder that holds the handler's module.
        inline: the code itself, when the template carries it; `code` is then not there yet.
        layers: folders whose content Lambda would put on `sys.path`.
        reserved_concurrency: None if it shares what the account has.
        aliases: names under which it can be invoked, besides `$LATEST`.
        published: whether it has a version 1, which its aliases mean.
        retries: how often a failed asynchronous invocation is tried again.
    """

    logical_id: str
    name: str
    arn: str
    handler: str
    runtime: str
    code: Path
    layers: tuple[Path, ...]
    environment: dict[str, str]
    timeout_s: float
    memory_mb: int
    reserved_concurrency: int | None
    aliases: frozenset[str]
    retries: int
    published: bool = False
    snap_start: bool = False
    log_format: str = "Text"
    inline: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A DynamoDB table, as `CreateTable` takes it.

    Attributes:
        ttl_attribute: empty if items do not expire.
    """

    logical_id: str
    name: str
    definition: dict[str, Any]
    ttl_attribute: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in Secrets Manager.

    Attributes:
        value: None for a secret that has none yet.
    """

    logical_id: str
    name: str
    arn: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Stack:
    """A template, resolved.

    Attributes:
        notices: one sentence for everything in the template that is not served.
    """

    region: str
    apis: list[WebSocketApi] = field(default_factory=list)
    http_apis: list[HttpApi] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
