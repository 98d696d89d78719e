"""The wire protocol as the generators read it: records, enumerations, limits, and their docs.

Types come from the protocol's structs. What the source says about a field or a constant is the
string below it, which Python itself does not keep: it is read from the source.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from parley import errors, limit
from parley.protocol import messages as protocol

SOURCE = "layers/parley/parley/protocol/messages.py"
NOTE = f"Generated from {SOURCE} by docs/generate.py; do not edit."

CLIENT_MESSAGES: tuple[type[Struct], ...] = get_args(protocol.AnyClientMessage)
SERVER_EVENTS: tuple[type[Struct], ...] = get_args(protocol.AnyServerEvent)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record.

    Attributes:
        type: the annotation, with its `Meta`, without `UNSET`.
        required: whether it must be there.
        default: JSON-like; None when there is none, or when the field is left out by default.
        doc: what the source says about it.
    """

    name: str
    type: Any
    required: bool
    default: Any
    doc: str


@dataclass(frozen=True, slots=True)
class Record:
    """A struct of the protocol.

    Attributes:
        tag: the value of `type`; None for a part of a message.
        is_array: whether it goes over the wire as an array of its fields.
        doc: the docstring, cleaned.
    """

    name: str
    tag: str | None
    is_array: bool
    doc: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A closed list of texts that has a name."""

    name: str
    values: tuple[str, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A limit, or the version."""

    name: str
    value: int
    doc: str


def record_of(struct: type[Struct]) -> Record:
    """Read a struct."""
    tag = struct.__struct_config__.tag
    return Record(
        name=struct.__name__,
        tag=str(tag) if tag is not None else None,
        is_array=struct.__struct_config__.array_like,
        doc=inspect.getdoc(struct) or "",
        fields=tuple(_fields(struct)),
    )


def client_messages() -> list[Record]:
    """Return what a client sends, in the order of the protocol."""
    return [record_of(struct) for struct in CLIENT_MESSAGES]


def server_events() -> list[Record]:
    """Return what the server sends, in the order of the protocol."""
    return [record_of(struct) for struct in SERVER_EVENTS]


def parts_of(structs: Iterable[type[Struct]]) -> list[Record]:
    """Return the records that messages are made of, each after those that it is made of."""
    return [record_of(struct) for struct in _part_types(structs)]


def enumerations() -> list[Enumeration]:
    """Return every named closed list that a message uses, in the order of the source."""
    used = {
        literal
        for struct in (
            *CLIENT_MESSAGES,
            *SERVER_EVENTS,
            *_part_types(CLIENT_MESSAGES + SERVER_EVENTS),
        )
        for field in msgspec.structs.fields(struct)
        for literal in _literals(field.type)
    }
    named = {name: literal for literal, name in _literal_names().items() if literal in used}
    docs = _constant_docs()
    return [
        Enumeration(name, get_args(literal), docs.get(name, "")) for name, literal in named.items()
    ]


def enumeration_name(literal: Any) -> str | None:
    """Return the name that the protocol gives to a `Literal`."""
    return _literal_names().get(literal)


def constants() -> list[Constant]:
    """Return the version and the limits."""
    docs = _constant_docs()
    return [
        Constant(name, value, docs.get(name, ""))
        for name, value in vars(protocol).items()
        if name.isupper() and type(value) is int
    ]


def constraint(annotation: Any) -> str:
    """Return what a value must be besides its type, in words; empty if nothing."""
    return ", ".join(filter(None, (_meta_text(meta, annotation) for meta in _metas(annotation))))


def field_bounds(field: Field) -> str:
    """Return the range of a field's number, or the length of its value; empty if it has neither."""
    bounds = (_bounds(meta, field.type) for meta in _metas(field.type) if not meta.description)
    return " ".join(bounds).strip()


def field_doc(field: Field) -> str:
    """Return what the source says about a field, and its bounds."""
    bounds = field_bounds(field)
    said = [field.doc, f"{bounds[:1].upper()}{bounds[1:]}." if bounds else ""]
    return " ".join(filter(None, said))


def without_meta(annotation: Any) -> Any:
    """Return the bare type below `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def options_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; of anything else itself."""
    bare = without_meta(annotation)
    return get_args(bare) if get_origin(bare) in (Union, UnionType) else (annotation,)


def is_struct(annotation: Any) -> bool:
    """Return whether it is a record of the protocol."""
    return isinstance(annotation, type) and issubclass(annotation, Struct)


def one_line(text: str) -> str:
    """Return a text with its line breaks as spaces."""
    return " ".join(text.split())


# --- inside -------------------------------------------------------------------


def _fields(struct: type[Struct]) -> Iterator[Field]:
    docs = _field_docs(struct)
    for info in msgspec.structs.fields(struct):
        kept = [option for option in options_of(info.type) if option is not UnsetType]
        # No `|`: how many there are is known at run time.
        annotation: Any = Union[tuple(kept)] if len(kept) > 1 else kept[0]  # noqa: UP007
        default = None if info.default in (msgspec.NODEFAULT, UNSET) else info.default
        yield Field(
            name=info.encode_name,
            type=annotation,
            required=info.required,
            default=default,
            doc=docs.get(info.name, ""),
        )


def _part_types(structs: Iterable[type[Struct]]) -> list[type[Struct]]:
    found: dict[type[Struct], None] = {}

    def collect(struct: type[Struct]) -> None:
        for field in msgspec.structs.fields(struct):
            for part in _structs_in(field.type):
                if part not in found:
                    collect(part)
                    found[part] = None

    for struct in structs:
        collect(struct)
    return list(found)


def _structs_in(annotation: Any) -> Iterator[type[Struct]]:
    if is_struct(annotation):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _structs_in(argument)


def _literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _literals(argument)


def _metas(annotation: Any) -> list[Meta]:
    found = []
    if get_origin(annotation) is Annotated:
        found += [extra for extra in get_args(annotation)[1:] if isinstance(extra, Meta)]
    for option in options_of(annotation):
        if option is not annotation:
            found += _metas(option)
    return found


def _meta_text(meta: Meta, annotation: Any) -> str:
    if meta.description:
        return str(meta.description)
    if meta.pattern:
        return f"`{meta.pattern.removesuffix(protocol.END)}$`"
    return _bounds(meta, annotation)


def _bounds(meta: Meta, annotation: Any) -> str:
    """Return a number's range or a value's length; empty for what only its type bounds."""
    least, most, unit = meta.ge, meta.le, ""
    if meta.max_length is not None:
        is_binary = bytes in map(without_meta, options_of(annotation))
        least, most = meta.min_length, meta.max_length
        is_list = any(get_origin(without_meta(each)) is list for each in options_of(annotation))
        unit = " bytes, in base64" if is_binary else " items" if is_list else " characters"
    if most is None or most >= 2**31 - 1:
        return ""
    return f"up to {most:,}{unit}" if least is None else f"{least:,} to {most:,}{unit}"


@cache
def _modules() -> tuple[ModuleType, ...]:
    """Return where the protocol's types are defined."""
    structs = (*CLIENT_MESSAGES, *SERVER_EVENTS)
    found = {module.__name__: module for module in (protocol, errors, limit)}
    for struct in (*structs, *_part_types(structs)):
        found[struct.__module__] = sys.modules[struct.__module__]
    return tuple(found.values())


@cache
def _literal_names() -> dict[Any, str]:
    return {
        value: name
        for module in _modules()
        for name, value in vars(module).items()
        if get_origin(value) is Literal
    }


@cache
def _source(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _constant_docs() -> dict[str, str]:
    return {
        name: doc for module in _modules() for name, doc in documented_names(_source(module).body)
    }


def _field_docs(struct: type[Struct]) -> dict[str, str]:
    docs: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if base.__module__ in sys.modules and is_struct(base) and base is not Struct:
            for node in _source(sys.modules[base.__module__]).body:
                if isinstance(node, ast.ClassDef) and node.name == base.__name__:
                    docs.update(documented_names(node.body))
    return docs


def documented_names(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Return the names that are assigned, with the string below them."""
    for statement, following in pairwise(body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case _:
                continue
        match following:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
