"""The Python client's reference: what the package exports, as its source explains it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any

from generator.markdown import table
from generator.model import documented_names

PACKAGE = "parley_client"

SECTIONS: dict[str, tuple[str, ...]] = {
    "Conversation": ("Conversation",),
    "Turn": ("Turn",),
    "Reply": ("Reply", "Timings", "heard_text"),
    "Options": ("Reconnect", "Timeouts", "Settings", "Tool", "OnAgentTurn"),
    "Events of a turn": (
        "Transcript",
        "ReplyText",
        "Audio",
        "AgentTurn",
        "ToolUpdate",
        "ClientCall",
        "Custom",
        "TurnEnd",
        "Error",
        "Restarted",
        "UnknownEvent",
        "TurnEvent",
    ),
    "Parts of events": (
        "Word",
        "Span",
        "Metrics",
        "Limit",
        "Message",
        "Choices",
        "Voice",
        "Limits",
    ),
    "Notices": ("StateChanged", "SessionRenewed", "ToolFailed", "Notice", "State", "Ending"),
}
"""Titles, with what they hold; the errors follow."""

HEAD = """# The Python client: reference

<!-- Generated from the types of client/python by docs/generate.py; do not edit. -->

[client-python.md](client-python.md) is the guide. Import everything here from `parley_client`. The
[protocol](protocol.md#parts-and-values) lists the values of `AudioFormat`, `Stage` and others.
"""


def python_reference() -> str:
    """Write `docs/client-python-reference.md`."""
    package = importlib.import_module(PACKAGE)
    listed = {name for names in SECTIONS.values() for name in names}
    errors = [name for name in package.__all__ if name not in listed]
    parts = [HEAD]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in names:
            entry = _entry(name, getattr(package, name))
            parts.append(entry if name != title else entry.partition("\n\n")[2])
    parts += ["## Errors\n", _errors(package, errors)]
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> str:
    if not inspect.isclass(thing):
        if inspect.isfunction(thing):
            return f"### {name}\n\n`{name}{_signature(thing)}`\n\n{_prose(inspect.getdoc(thing))}\n"
        return f"### {name}\n\n`{_plain(thing)}`\n\n{_constant_doc(name)}\n".replace("\n\n\n", "\n")
    parts = [f"### {name}\n", f"{_prose(inspect.getdoc(thing))}\n"]
    if is_dataclass(thing) or issubclass(thing, tuple):
        parts.append(table(["field", "type", "default", "meaning"], _fields(thing)) + "\n")
    methods = [_method(member) for member in _members(thing)]
    if methods:
        parts.append(table(["member", "meaning"], methods) + "\n")
    return "\n".join(parts)


def _fields(cls: type) -> Iterator[list[str]]:
    docs = _docs_in(cls)
    if not is_dataclass(cls):
        for name, kind in inspect.get_annotations(cls).items():
            shown = getattr(kind, "__forward_arg__", kind)
            yield [f"`{name}`", f"`{shown}`", "", docs.get(name, "")]
        return
    for field in fields(cls):
        default = "" if field.default is MISSING else f"`{_shown(field.default)}`"
        yield [f"`{field.name}`", f"`{field.type}`", default, docs.get(field.name, "")]


@dataclass(frozen=True)
class _Member:
    name: str
    shown: str
    doc: str


def _members(cls: type) -> Iterator[_Member]:
    """Yield the documented part of a class that is for its users, in the order of the source."""
    for name, value in vars(cls).items():
        function = getattr(value, "__func__", value)
        if name.startswith("_") or name in _internal_names(cls):
            continue
        if isinstance(value, property):
            yield _Member(name, name, inspect.getdoc(value) or "")
        elif inspect.isfunction(function):
            shown = f"{name}{_signature(function)}"
            is_async = inspect.iscoroutinefunction(function)
            doc = inspect.getdoc(function) or ""
            yield _Member(name, f"await {shown}" if is_async else shown, doc)


def _method(member: _Member) -> list[str]:
    return [f"`{member.shown}`", _prose(member.doc)]


@cache
def _internal_names(cls: type) -> frozenset[str]:
    """Return what follows the comment `# --- for the owner` in the source of a class."""
    lines = inspect.getsource(cls).splitlines()
    start = next((at for at, line in enumerate(lines) if "# --- for the owner" in line), None)
    if start is None:
        return frozenset()
    return frozenset(re.findall(r"^    (?:async )?def (\w+)", "\n".join(lines[start:]), re.M))


def _signature(function: Any) -> str:
    """Return parameters with their defaults; types are in the prose of the docstring."""
    shown = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        is_required = parameter.default is parameter.empty
        name = parameter.name
        shown.append(name if is_required else f"{name}={_shown(parameter.default)}")
    return f"({', '.join(shown)})"


def _shown(value: object) -> str:
    if isinstance(value, type):
        return value.__name__
    return f"{value:_}" if type(value) is int else repr(value)


def _prose(doc: str | None) -> str:
    """Return a docstring as paragraphs and lists of Markdown."""
    text = doc or ""
    for title in ("Args", "Raises", "Attributes", "Returns"):
        text = re.sub(rf"^{title}:\n((?:    .*\n?|\n)+)", _listed(title), text, flags=re.MULTILINE)
    return re.sub(r"``([^`]+)``", r"`\1`", text).strip()


def _listed(title: str) -> Any:
    def listed(found: re.Match[str]) -> str:
        entries = re.split(r"\n(?=    \S)", found[1].rstrip("\n"))
        items = []
        for entry in entries:
            names, _, meaning = " ".join(entry.split()).partition(": ")
            items.append(f"{_names(names)}: {meaning}" if meaning else names)
        return f"{title}: " + "; ".join(item.removesuffix(".") for item in items) + ".\n"

    return listed


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _errors(package: Any, names: list[str]) -> str:
    rows = []
    for name in names:
        error = getattr(package, name)
        parent = error.__mro__[1].__name__
        code = "the server's" if issubclass(error, package.ServerError) else f"`{error.code}`"
        rows.append([f"`{name}`", f"`{parent}`", code, _prose(inspect.getdoc(error))])
    return table(["error", "is a", "`code`", "when"], rows) + "\n"


def _docs_in(cls: type) -> dict[str, str]:
    """Return the strings below the fields of a class."""
    tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            return dict(documented_names(node.body))
    return {}


def _constant_doc(name: str) -> str:
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(f"{PACKAGE}.") and hasattr(module, name):
            tree = ast.parse(inspect.getsource(module))
            if doc := dict(documented_names(tree.body)).get(name):
                return doc
    return ""


def _plain(alias: Any) -> str:
    return re.sub(r"\b\w+\.(?:\w+\.)*", "", str(alias))
