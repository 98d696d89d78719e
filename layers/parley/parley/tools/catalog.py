"""The tools of a deployment, as the deployer's file declares them.

A table `[NAME]` is a tool. `[mcp.NAME]` is a server that lists tools of its own. `[built_in]`
switches Parley's own tools on. docs/tools.md has every field.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import UNSET

from parley.deployer_files import read_toml
from parley.errors import ConfigurationError
from parley.providers.llm import ToolOffer
from parley.tools.address import read_address
from parley.tools.built_in_tools import built_in_specs
from parley.tools.declaration import (
    BuiltInEntry,
    Entry,
    McpEntry,
    Mistake,
    ToolEntry,
    read_entry,
    read_name,
    spoken,
)
from parley.tools.mcp_server import McpServer
from parley.tools.parameters import read_schema, schema_of
from parley.tools.private_hosts import address_problem
from parley.tools.registry import HTTP, LAMBDA
from parley.tools.tool import ToolSpec
from parley.tools.toolbox import CLIENT

MAX_TOOLS = 64
"""A model that may choose among more chooses worse. OpenAI takes 128."""
MAX_SERVER_NAME = 32
_MCP, _BUILT_IN = "mcp", "built_in"
_KIND_OF_FIELD = {
    "format": LAMBDA,
    "durable": LAMBDA,
    "headers": HTTP,
    "method": HTTP,
    "auth": HTTP,
}
_KEPT_HEADERS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "content-type", "expect", "host"),
        *("te", "trailer", "transfer-encoding", "upgrade", "idempotency-key"),
        *("webhook-id", "webhook-signature", "webhook-timestamp"),
        *("x-parley-context", "x-parley-context-signature"),
        *("authorization", "cookie", "proxy-authorization"),
    }
)
"""What every request has already, and what carries credentials: a file is no place for those."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a file declares.

    Attributes:
        specs: the tools, in the order of the file.
        servers: those that list tools of their own.
    """

    specs: Sequence[ToolSpec] = ()
    servers: Sequence[McpServer] = ()


def read_catalog(
    file: Path, *, languages: Sequence[str], private_hosts: Collection[str] = ()
) -> Catalog:
    """Read and check the deployer's file.

    Args:
        languages: that a session may have, as ISO 639 codes.
        private_hosts: hosts, or hosts with their port, that may be private or without TLS.

    Raises:
        ConfigurationError: something is wrong in it. There is a sentence for each entry that is,
            which names the tool, the field and what is allowed.
    """
    reader = _Reader(file, languages, private_hosts)
    for name, table in read_toml(file, file.name).items():
        if name == _MCP:
            reader.read_servers(table)
        elif name == _BUILT_IN:
            reader.read_built_in(table)
        else:
            reader.read_tool(name, table)
    return reader.catalog()


class _Reader:
    """Reads one entry after the other, and goes on where one is wrong."""

    def __init__(
        self, file: Path, languages: Sequence[str], private_hosts: Collection[str]
    ) -> None:
        self._file = file
        self._languages = languages
        self._private_hosts = private_hosts
        self._specs: list[ToolSpec] = []
        self._servers: list[McpServer] = []
        self._mistakes: list[str] = []

    def read_tool(self, name: str, table: Any) -> None:
        """Read a table `[NAME]`."""
        try:
            self._specs.append(self._tool(read_name(name), read_entry(table, ToolEntry)))
        except Mistake as mistake:
            self._note(name, mistake)

    def read_servers(self, tables: Any) -> None:
        """Read the tables `[mcp.NAME]`."""
        if not isinstance(tables, dict):
            self._note(_MCP, Mistake("expected a table for each server, as [mcp.shop]"))
            return
        for name, table in tables.items():
            try:
                self._servers.append(self._server(name, read_entry(table, McpEntry)))
            except Mistake as mistake:
                self._note(f"{_MCP}.{name}", mistake)

    def read_built_in(self, table: Any) -> None:
        """Read the table `[built_in]`."""
        try:
            self._specs += built_in_specs(read_entry(table, BuiltInEntry), self._languages)
        except Mistake as mistake:
            self._note(_BUILT_IN, mistake)

    def catalog(self) -> Catalog:
        """Return what has been read.

        Raises:
            ConfigurationError: something was wrong.
        """
        names = [spec.name for spec in self._specs]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            self._note(name, Mistake("its name: a tool of [built_in] has it already"))
        for name, other in _entangled([server.name for server in self._servers]):
            self._note(
                f"{_MCP}.{name}",
                Mistake(
                    f"its name: it begins as the names of the tools of {other} do, so the one "
                    f"server could pass for the other; expected {name.replace('_', '-')}, say"
                ),
            )
        if len(names) > MAX_TOOLS:
            self._mistakes.append(
                f"{self._file.name}: expected at most {MAX_TOOLS} tools, got {len(names)}."
            )
        if self._mistakes:
            raise ConfigurationError("\n".join(self._mistakes))
        return Catalog(tuple(self._specs), tuple(self._servers))

    def _note(self, name: str, mistake: Mistake) -> None:
        self._mistakes.append(f"{self._file.name}: {name}: {mistake}.")

    def _tool(self, name: str, entry: ToolEntry) -> ToolSpec:
        kind, target = _kind(entry)
        _check_fields(entry, kind)
        schema = self._schema(entry)
        if kind == HTTP:
            self._check_url("http", target)
            _check_places(target, schema)
            _check_webhook(entry)
        if entry.confirm and entry.effect != "write":
            raise Mistake(f"confirm: only a tool whose effect is write has it, not {entry.effect}")
        return ToolSpec(
            offer=ToolOffer(name, entry.description, schema),
            kind=kind,
            target=target,
            result=tuple(entry.result),
            confirm=entry.confirm,
            options=_options(entry, kind),
            **_common(entry),
        )

    def _server(self, name: str, entry: McpEntry) -> McpServer:
        if len(read_name(name)) > MAX_SERVER_NAME:
            raise Mistake(
                f"its name: expected at most {MAX_SERVER_NAME} characters, since each of its tools "
                "begins with it"
            )
        self._check_url("url", entry.url)
        auth = entry.auth or ("bearer" if entry.secret else "none")
        if auth == "bearer" and not entry.secret:
            raise Mistake("secret: auth bearer needs the name of its token in the tools' secret")
        if auth != "bearer" and entry.secret:
            raise Mistake(f"secret: auth {auth} has none; expected auth bearer")
        return McpServer(
            name=name,
            url=entry.url,
            auth=auth,
            secret=entry.secret,
            tools=tuple(entry.tools or ()),
            **_common(entry),
        )

    def _schema(self, entry: ToolEntry) -> Mapping[str, Any]:
        if entry.schema is UNSET:
            return schema_of(entry.parameters or {})
        if entry.parameters is not UNSET:
            raise Mistake("schema: expected either a schema or parameters")
        return read_schema(self._file.parent, entry.schema)

    def _check_url(self, field: str, url: str) -> None:
        if problem := address_problem(url, self._private_hosts):
            raise Mistake(f"{field}: {problem}")


def _entangled(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the servers whose tools may be named as another's: `shop_eu` and `shop`."""
    return [(name, other) for name in names for other in names if name.startswith(f"{other}_")]


def _kind(entry: ToolEntry) -> tuple[str, str]:
    """Return what runs a tool, and where."""
    given = {LAMBDA: entry.function, HTTP: entry.http, CLIENT: entry.client}
    kinds = [kind for kind, value in given.items() if value is not UNSET]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise Mistake(f"expected exactly one of lambda, http and client; got {found}")
    target = given[kinds[0]]
    return kinds[0], target if isinstance(target, str) else ""


def _check_fields(entry: ToolEntry, kind: str) -> None:
    """Refuse fields that mean nothing for the kind."""
    for field, wanted in _KIND_OF_FIELD.items():
        if getattr(entry, field) is not UNSET and kind != wanted:
            raise Mistake(f"{field}: only a tool with {wanted} has it")
    if entry.secret and kind != HTTP:
        raise Mistake("secret: only a tool with http has it")


def _check_places(url: str, schema: Mapping[str, Any]) -> None:
    """Refuse a `{name}` in a URL that is no parameter, or stands where no argument may be."""
    try:
        places = read_address(url).places
    except ValueError as problem:
        raise Mistake(f"http: it {problem}") from None
    for name in sorted(places - set(schema.get("properties", {}))):
        raise Mistake(f"http: {{{name}}} is none of its parameters")


def _check_webhook(entry: ToolEntry) -> None:
    if not entry.secret:
        raise Mistake(
            "secret: expected the name of an entry in the tools' secret, which signs the requests "
            "or is their bearer token"
        )
    for header in entry.headers or {}:
        if header.lower() in _KEPT_HEADERS:
            raise Mistake(
                f"headers.{header}: every request has it already, or it carries credentials, "
                "which do not belong into this file"
            )


def _options(entry: ToolEntry, kind: str) -> Mapping[str, Any]:
    if kind == LAMBDA:
        return {"format": entry.format or "arguments", "durable": bool(entry.durable)}
    if kind == HTTP:
        return {
            "secret": entry.secret,
            "auth": entry.auth or "signature",
            "headers": dict(entry.headers or {}),
            "method": entry.method or "POST",
        }
    return {}


def _common(entry: Entry) -> dict[str, Any]:
    return {
        "effect": entry.effect,
        "say": spoken(entry.say),
        "timeout_s": entry.timeout_s,
        "title": entry.title,
        "show": entry.show,
    }
