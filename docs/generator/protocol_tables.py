"""The tables of `docs/protocol.md`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from generator import model
from generator.markdown import fill_sections, table
from generator.model import Field, Record

PAGE = Path(__file__).parent.parent / "protocol.md"


def protocol_page() -> str:
    """Write `docs/protocol.md` with its generated tables."""
    parts = {record.name: record for record in _parts()}
    own = ("Settings", "Metrics")
    return fill_sections(
        PAGE.read_text(),
        {
            "client messages": _messages(model.client_messages()),
            "server events": _messages(model.server_events()),
            "parts": table(
                ["part", "fields", "meaning"],
                [_row(record, record.name) for record in parts.values() if record.name not in own],
            ),
            "settings": _field_table(parts["Settings"]),
            "metrics": _field_table(parts["Metrics"]),
            "values": table(
                ["type", "values", "meaning"],
                [
                    [each.name, ", ".join(f"`{value}`" for value in each.values), each.doc]
                    for each in model.enumerations()
                    if each.name != "ErrorCode"
                ],
            ),
            "limits": table(
                ["limit", "value", "why"],
                [
                    [f"`{each.name}`", f"{each.value:,}", each.doc]
                    for each in model.constants()
                    if each.name.startswith("MAX_")
                ],
            ),
        },
    )


def _parts() -> list[Record]:
    return model.parts_of((*model.CLIENT_MESSAGES, *model.SERVER_EVENTS))


def _messages(records: list[Record]) -> str:
    rows = [_row(record, f"`{record.tag}`") for record in records]
    return table(["type", "fields", "meaning"], rows)


def _row(record: Record, name: str) -> list[str]:
    fields = ", ".join(map(_short_field, record.fields))
    if record.is_array:
        fields = f"an array: {fields}"
    return [name, fields, record.doc]


def _short_field(field: Field) -> str:
    """Return `name?` and what its value is, where the name does not say it."""
    told = ", ".join(filter(None, (_kind(field.type), model.field_bounds(field), _default(field))))
    optional = "" if field.required else "?"
    return f"`{field.name}{optional}`" + (f" ({told})" if told else "")


def _default(field: Field) -> str:
    if isinstance(field.default, bool) or not isinstance(field.default, str | int):
        return ""
    return (
        f"default {field.default:,}" if type(field.default) is int else f"default `{field.default}`"
    )


def _kind(annotation: Any) -> str:
    """Return the named type of a value; empty for plain ones."""
    for option in model.options_of(annotation):
        bare = model.without_meta(option)
        if get_origin(bare) is list:
            item = _kind(get_args(bare)[0])
            plain = {int: "integers", str: "texts"}
            return f"list of {item or plain[model.without_meta(get_args(bare)[0])]}"
        if get_origin(bare) is dict:
            return "object"
        if bare is Any:
            return "any JSON value"
        if model.is_struct(bare):
            return str(bare.__name__)
        if get_origin(bare) is Literal:
            values = " or ".join(f"`{value}`" for value in get_args(bare))
            return model.enumeration_name(bare) or values
    return ""


def _field_table(record: Record) -> str:
    rows = [
        [f"`{field.name}`", _plain_type(field.type), model.constraint(field.type), field.doc]
        for field in record.fields
    ]
    if not any(row[2] for row in rows):
        return table(["field", "type", "meaning"], [[*row[:2], row[3]] for row in rows])
    return table(["field", "type", "value", "meaning"], rows)


def _plain_type(annotation: Any) -> str:
    bare = model.without_meta(model.options_of(annotation)[0])
    return {str: "text", bool: "true or false", int: "integer", float: "number"}[bare]
