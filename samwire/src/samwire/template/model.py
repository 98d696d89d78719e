"""What of a template is served here, as plain objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samwire.permissions.identities import Role
from samwire.template.api_model import HttpApi, WebSocketApi
from samwire.template.resources import StoredResources

LATEST = "$LATEST"
"""The unpublished version of a function, and the qualifier that means it."""
DEFAULT_ASYNC_RETRIES = 2
DEFAULT_EVENT_AGE_S = 6 * 3600.0
"""Lambda's own defaults ("How Lambda handles errors and retries with asynchronous invocation")."""


@dataclass(frozen=True, slots=True)
class EventInvoke:
    """How one qualifier of a function is invoked asynchronously.

    Attributes:
        retries: how often an invocation that failed is tried again.
        max_age_s: how long an event may wait to be taken, in seconds.
        on_success: ARN of what is told of a success; empty for nothing.
        on_failure: ARN of what is told when an event is given up; empty for nothing.
    """

    retries: int = DEFAULT_ASYNC_RETRIES
    max_age_s: float = DEFAULT_EVENT_AGE_S
    on_success: str = ""
    on_failure: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function.

    Attributes:
        code: folder that holds the handler's module.
        role: ARN of the role that it runs as.
        inline: the code itself, when the template carries it; `code` is then not there yet.
        layers: folders whose content Lambda would put on `sys.path`.
        reserved_concurrency: None if it shares what the account has.
        aliases: names under which it can be invoked, besides `$LATEST`.
        published: whether it has a version 1, which its aliases mean.
        event_invokes: settings of asynchronous invocation by qualifier, `$LATEST` for none.
        dead_letter: ARN of the queue or topic for events that are given up; empty for none.
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
    published: bool = False
    snap_start: bool = False
    log_format: str = "Text"
    inline: str = ""
    event_invokes: Mapping[str, EventInvoke] = field(default_factory=dict)
    dead_letter: str = ""
    role: str = ""


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
        generated: what of it has just been made; empty if nothing has.
    """

    logical_id: str
    name: str
    arn: str
    value: str | None
    generated: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """A template, resolved.

    Attributes:
        roles: what the template's roles may do, by name.
        stored: what is created besides tables and secrets.
        notices: one sentence for everything in the template that is not served.
        unserved: functions that cannot run here: logical id and reason, by name.
    """

    region: str
    apis: list[WebSocketApi] = field(default_factory=list)
    http_apis: list[HttpApi] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    secrets: list[Secret] = field(default_factory=list)
    roles: dict[str, Role] = field(default_factory=dict)
    stored: StoredResources = field(default_factory=StoredResources)
    outputs: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    unserved: dict[str, str] = field(default_factory=dict)
