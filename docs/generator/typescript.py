"""The messages as TypeScript declarations."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

from generator import model
from generator.model import Field, Record


def typescript() -> str:
    """Write `client/js/messages.d.ts`."""
    structs = (*model.CLIENT_MESSAGES, *model.SERVER_EVENTS)
    records = sorted(
        [*model.client_messages(), *model.server_events(), *model.parts_of(structs)],
        key=lambda record: record.name,
    )
    parts = [f"// {model.NOTE}\n"]
    parts += [_enumeration(each) for each in model.enumerations()]
    parts += [_record(record) for record in records]
    parts.append(_union("ClientMessage", model.client_messages()))
    parts.append(_union("ServerEvent", model.server_events()))
    return "\n".join(parts)


def _enumeration(each: model.Enumeration) -> str:
    return _comment(each.doc) + f"export type {each.name} = {_literal(each.values)};\n"


def _record(record: Record) -> str:
    if record.is_array:
        shape = f"[{', '.join(_type(field.type) for field in record.fields)}]"
        return _comment(record.doc) + f"export type {record.name} = {shape};\n"
    lines = [f'  type: "{record.tag}";'] if record.tag else []
    for field in record.fields:
        lines += [_comment(model.field_doc(field), "  ") + _field(field)]
    body = "\n".join(lines)
    return _comment(record.doc) + f"export interface {record.name} {{\n{body}\n}}\n"


def _field(field: Field) -> str:
    return f"  {field.name}{'' if field.required else '?'}: {_type(field.type)};"


def _union(name: str, records: list[Record]) -> str:
    return f"export type {name} =\n  | " + "\n  | ".join(record.name for record in records) + ";\n"


def _comment(doc: str, indent: str = "") -> str:
    return f"{indent}/** {model.one_line(doc)} */\n" if doc else ""


def _literal(values: tuple[object, ...]) -> str:
    return " | ".join(json.dumps(value) for value in values)


def _type(annotation: Any) -> str:
    options = model.options_of(annotation)
    if len(options) > 1:
        return " | ".join(_type(option) for option in options)
    bare = model.without_meta(annotation)
    if model.is_struct(bare):
        return str(bare.__name__)
    if get_origin(bare) is Literal:
        return model.enumeration_name(bare) or _literal(get_args(bare))
    if get_origin(bare) is list:
        item = _type(get_args(bare)[0])
        return f"({item})[]" if " " in item else f"{item}[]"
    if get_origin(bare) is dict:
        return "Record<string, unknown>"
    if bare is Any:
        return "unknown"
    return {int: "number", float: "number", bool: "boolean", type(None): "null"}.get(bare, "string")
