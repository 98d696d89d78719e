"""The messages as the Python client has them: typed dictionaries to send, dataclasses to read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from generator import model
from generator.model import Constant, Enumeration, Field, Record

WIDTH = 100
CLOSED = frozenset({"AudioFormat", "TurnEndReason", "SessionEndReason"})
"""The enumerations that a client must know all values of. A newer server may add to the others."""
SENT = "Message"
"""Ends the name of what is sent, where what is read has the same name."""

HEAD = f'''"""The wire protocol, version {{version}}: messages, events, enumerations and limits.

{model.NOTE}

What a client sends is a `TypedDict`, for it becomes JSON as it is. What it reads is a dataclass:
None or an empty tuple stands for what was left out. `| str` stands for what a newer server may say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict
'''


def python_messages() -> str:
    """Write `client/python/src/parley_client/messages.py`."""
    sent = model.parts_of(model.CLIENT_MESSAGES)
    read = model.parts_of(model.SERVER_EVENTS)
    both = {record.name for record in sent} & {record.name for record in read}
    version = next(each.value for each in model.constants() if each.name == "PROTOCOL_VERSION")
    blocks = [
        HEAD.format(version=version) + "\n" + "\n".join(map(_constant, model.constants())),
        "\n".join(map(_enumeration, model.enumerations())),
        "# --- client to server " + "-" * 57,
        *(_typed_dict(record, both) for record in (*sent, *model.client_messages())),
        _union("ClientMessage", [_sent_name(r, both) for r in model.client_messages()]),
        "# --- server to client " + "-" * 57,
        *(_class(record) for record in (*read, *model.server_events())),
        _union("ServerEvent", [record.name for record in model.server_events()]),
    ]
    return "\n\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _constant(constant: Constant) -> str:
    number = str(constant.value) if constant.value < 1_000 else f"{constant.value:_}"
    return f"{constant.name} = {number}{_docstring(constant.doc)}"


def _enumeration(each: Enumeration) -> str:
    values = [f'"{value}"' for value in each.values]
    one_line = f"{each.name}: TypeAlias = Literal[{', '.join(values)}]"
    indented = f"    {', '.join(values)}"
    if len(one_line) <= WIDTH:
        text = one_line
    elif len(indented) <= WIDTH:
        text = f"{each.name}: TypeAlias = Literal[\n{indented}\n]"
    else:
        listed = "".join(f"    {value},\n" for value in values)
        text = f"{each.name}: TypeAlias = Literal[\n{listed}]"
    return text + _docstring(each.doc)


def _union(name: str, members: list[str]) -> str:
    one_line = f"{name}: TypeAlias = {' | '.join(members)}"
    if len(one_line) <= WIDTH:
        return one_line
    joined = " | ".join(members)
    if len(joined) + 4 <= WIDTH:
        return f"{name}: TypeAlias = (\n    {joined}\n)"
    listed = "\n    | ".join(members)
    return f"{name}: TypeAlias = (\n    {listed}\n)"


# --- what is sent -------------------------------------------------------------


def _sent_name(record: Record, both: set[str]) -> str:
    return record.name + SENT if record.name in both else record.name


def _typed_dict(record: Record, both: set[str]) -> str:
    is_total = record.tag is not None or any(field.required for field in record.fields)
    total = "" if is_total else ", total=False"
    lines = [f"class {_sent_name(record, both)}(TypedDict{total}):"]
    lines += _body_docstring(record.doc)
    if record.tag:
        lines.append(f'    type: Literal["{record.tag}"]')
    for field in record.fields:
        kind = _sent_type(field.type, both)
        optional = is_total and not field.required
        lines.append(f"    {field.name}: {f'NotRequired[{kind}]' if optional else kind}")
        lines += _field_docstring(field)
    return "\n".join(lines)


def _sent_type(annotation: Any, both: set[str]) -> str:
    options = [option for option in model.options_of(annotation) if option is not NoneType]
    (bare,) = map(model.without_meta, options)
    if model.is_struct(bare):
        return _sent_name(model.record_of(bare), both)
    if get_origin(bare) is Literal:
        return model.enumeration_name(bare) or f"Literal{list(get_args(bare))}"
    if get_origin(bare) is list:
        return f"list[{_sent_type(get_args(bare)[0], both)}]"
    return "str" if bare is bytes else str(bare.__name__)  # as base64


# --- what is read -------------------------------------------------------------


def _class(record: Record) -> str:
    if record.is_array:
        lines = [f"class {record.name}(NamedTuple):"]
    else:
        lines = ["@dataclass(frozen=True, slots=True)", f"class {record.name}:"]
    lines += _body_docstring(record.doc)
    if record.tag:
        lines.append(f'    type: ClassVar[Literal["{record.tag}"]] = "{record.tag}"')
    for field in record.fields:
        lines.append(f"    {field.name}: {_read_type(field)}{_default(field)}")
        lines += _field_docstring(field)
    return "\n".join(lines)


def _read_type(field: Field) -> str:
    options = [option for option in model.options_of(field.type) if option is not NoneType]
    (option,) = options
    kind = _one_type(option)
    is_nullable = not field.required and _default(field) == " = None"
    return f"{kind} | None" if is_nullable else kind


def _one_type(annotation: Any) -> str:
    bare = model.without_meta(annotation)
    if model.is_struct(bare):
        return str(bare.__name__)
    if get_origin(bare) is list:
        return f"tuple[{_one_type(get_args(bare)[0])}, ...]"
    if get_origin(bare) is dict or bare is Any:
        return str(bare).replace("typing.", "")
    if get_origin(bare) is Literal:
        values = get_args(bare)
        if isinstance(values[0], int):
            return "int"
        name = model.enumeration_name(bare)
        listed = ", ".join(f'"{value}"' for value in values)
        return name if name in CLOSED else f"{name or f'Literal[{listed}]'} | str"
    return str(bare.__name__)


def _default(field: Field) -> str:
    if field.required:
        return ""
    options = [option for option in model.options_of(field.type) if option is not NoneType]
    if get_origin(model.without_meta(options[0])) is list:
        return " = ()"
    if isinstance(field.default, str):
        return f' = "{field.default}"'
    if isinstance(field.default, int) and not isinstance(field.default, bool):
        return f" = {field.default:_}"
    return f" = {field.default}"


# --- docstrings ---------------------------------------------------------------


def _docstring(doc: str, indent: str = "") -> str:
    return f"\n{_wrapped(doc, indent)}" if doc else ""


def _field_docstring(field: Field) -> list[str]:
    doc = model.field_doc(field)
    return [_wrapped(doc, "    ")] if doc else []


def _body_docstring(doc: str) -> Iterator[str]:
    if doc:
        yield _wrapped(doc, "    ")
        yield ""


def _wrapped(doc: str, indent: str) -> str:
    """Return a docstring, each of its paragraphs in lines of `WIDTH`."""
    paragraphs = [model.one_line(paragraph) for paragraph in doc.split("\n\n")]
    if len(paragraphs) == 1 and len(indent) + len(paragraphs[0]) + 6 <= WIDTH:
        return f'{indent}"""{paragraphs[0]}"""'
    filled = [
        textwrap.fill(
            ('"""' if at == 0 else "") + paragraph,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for at, paragraph in enumerate(paragraphs)
    ]
    text = "\n\n".join(filled)
    is_short = len(paragraphs) == 1 and len(text.rpartition("\n")[2]) + 3 <= WIDTH
    return f'{text}"""' if is_short else f'{text}\n{indent}"""'
