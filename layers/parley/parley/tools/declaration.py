"""The fields of an entry in the deployer's file, and the sentences about what is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert
from msgspec.structs import fields

from parley.protocol.messages import END, ToolName
from parley.tools.mcp_server import McpAuth
from parley.tools.tool import Effect, Shown

MAX_DESCRIPTION_CHARS = 1_024
"""What every vendor takes: OpenAI takes no longer one of a function."""
MAX_TIMEOUT_S = 60
Method = Literal["POST", "GET", "PUT", "PATCH", "DELETE"]
OTHER = "other"
"""The key of what is said in every other language."""

Sentence = Annotated[str, Meta(min_length=1, max_length=200)]
Sentences = Sentence | Annotated[list[Sentence], Meta(min_length=1, max_length=5)]
Language = Annotated[str, Meta(pattern=f"^([a-z]{{2,3}}|{OTHER}){END}")]
Title = Annotated[str, Meta(min_length=1, max_length=64)]
Secret = Annotated[str, Meta(pattern=f"^[A-Za-z0-9_.-]{{1,128}}{END}")]
FieldName = Annotated[str, Meta(min_length=1, max_length=64)]
Header = Annotated[str, Meta(pattern=f"^[A-Za-z0-9-]{{1,64}}{END}")]
HeaderValue = Annotated[str, Meta(pattern=f"^[!-~]([ -~]{{0,510}}[!-~])?{END}")]
Function = Annotated[
    str,
    Meta(
        pattern=f"^([A-Za-z0-9_-]{{1,64}}|arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{{12}}:function:"
        f"[A-Za-z0-9_-]{{1,64}})(:[A-Za-z0-9_$-]{{1,128}})?{END}"
    ),
]
SchemaFile = Annotated[
    str, Meta(pattern=f"^([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+[.]json{END}", max_length=200)
]
T = TypeVar("T", bound=Struct)


class Mistake(Exception):
    """Something in an entry is wrong. The message names the field and what is allowed."""


class Entry(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a tool and a server of tools have in common."""

    effect: Effect = "write"
    say: Sentences | dict[Language, Sentences] | UnsetType = UNSET
    timeout_s: Annotated[float, Meta(ge=1, le=MAX_TIMEOUT_S)] = 10.0
    title: Title | Literal[""] = ""
    show: Shown = "name"
    secret: Secret | Literal[""] = ""


class ToolEntry(Entry, kw_only=True, rename={"function": "lambda"}):
    """A table `[NAME]`."""

    description: Annotated[str, Meta(min_length=1, max_length=MAX_DESCRIPTION_CHARS)]
    parameters: dict[str, dict[str, Any]] | UnsetType = UNSET
    schema: SchemaFile | UnsetType = UNSET
    function: Function | UnsetType = UNSET
    http: str | UnsetType = UNSET
    client: Literal[True] | UnsetType = UNSET
    headers: dict[Header, HeaderValue] | UnsetType = UNSET
    method: Method | UnsetType = UNSET
    auth: Literal["signature", "bearer"] | UnsetType = UNSET
    format: Literal["bedrock-agent"] | UnsetType = UNSET
    durable: bool | UnsetType = UNSET
    result: list[FieldName] = []
    confirm: bool = False


class McpEntry(Entry, kw_only=True):
    """A table `[mcp.NAME]`."""

    url: str
    auth: McpAuth | UnsetType = UNSET
    tools: Annotated[list[FieldName], Meta(min_length=1)] | UnsetType = UNSET


class BuiltInEntry(Struct, forbid_unknown_fields=True):
    """The table `[built_in]`."""

    end_session: bool = False
    set_language: bool = False
    skip_turn: bool = False


ENTRY_NAME = "the name of an entry in the tools' secret, of letters, digits and _ . -"
EXPECTED = {
    "description": f"text of 1 to {MAX_DESCRIPTION_CHARS:,} characters",
    "parameters": 'a table for each parameter, as parameters.order = { type = "string" }',
    "schema": "the name of a JSON file beside this one, such as order.json",
    "lambda": "what follows the stack's name and -tool- in a function's name, such as "
    "order-status, or a function's ARN",
    "http": "an https URL, whose path and query may have {name} of parameters",
    "client": "true; leave it out otherwise",
    "effect": "read, idempotent or write",
    "say": "a sentence of at most 200 characters, up to five of them in a list, or a table of "
    'them by language, as { en = "…", de = "…", other = "…" }',
    "timeout_s": f"a number of seconds from 1 to {MAX_TIMEOUT_S}",
    "title": "text of at most 64 characters",
    "show": "name, arguments or all",
    "result": "a list of the names of fields",
    "confirm": "true or false",
    "secret": ENTRY_NAME,
    "headers": "a table of headers, each a name and a value of printable ASCII characters",
    "method": "POST, GET, PUT, PATCH or DELETE",
    "format": "bedrock-agent; leave it out for plain arguments",
    "durable": "true or false",
    "url": "an https URL",
    "auth": "signature or bearer",
    "tools": "a list of names of the server's tools; leave it out for all",
    "end_session": "true or false",
    "set_language": "true or false",
    "skip_turn": "true or false",
}
"""What each field may have."""
EXPECTED_OF_SERVERS = {**EXPECTED, "auth": "none, bearer or sigv4"}
_UNKNOWN = re.compile(r"unknown field `(.*?)`")
_MISSING = re.compile(r"missing required field `(.*?)`")
_PLACE = re.compile(r"`\$\.(\w+)[^`]*`$")


def read_entry(table: Any, kind: type[T]) -> T:
    """Return an entry as a structure.

    Raises:
        Mistake: a field is unknown, missing, or not what it may be.
    """
    try:
        return convert(table, kind)
    except ValidationError as invalid:
        raise Mistake(_sentence(str(invalid), kind)) from None


def read_name(name: str) -> str:
    """Return a tool's name as it is.

    Raises:
        Mistake: models would not take it.
    """
    try:
        return convert(name, ToolName)
    except ValidationError:
        raise Mistake(
            "its name: expected 1 to 64 of A-Z, a-z, 0-9, '_' and '-', which is what models take"
        ) from None


def spoken(say: Any) -> Mapping[str, list[str]]:
    """Return what is said by language; under an empty code for every other language."""
    if say is UNSET:
        return {}
    by_language = say if isinstance(say, dict) else {OTHER: say}
    return {
        "" if language == OTHER else language: [said] if isinstance(said, str) else list(said)
        for language, said in by_language.items()
    }


def _sentence(invalid: str, kind: type[Struct]) -> str:
    known = ", ".join(sorted(each.encode_name for each in fields(kind)))
    if unknown := _UNKNOWN.search(invalid):
        return f"{unknown[1]}: there is no such field; there are {known}"
    found = _MISSING.search(invalid) or _PLACE.search(invalid)
    if found is None:
        return f"expected a table with fields of {known}"
    expected = (EXPECTED_OF_SERVERS if kind is McpEntry else EXPECTED)[found[1]]
    needed = ". It is needed" if _MISSING.search(invalid) else ""
    return f"{found[1]}: expected {expected}{needed}"
