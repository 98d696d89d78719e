"""What calls of DynamoDB ask permission for.

See "Actions, resources, and condition keys for Amazon DynamoDB" and "Using IAM policy
conditions for fine-grained access control".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from samwire.permissions.calls.access import Access
from samwire.permissions.calls.http import HttpCall
from samwire.permissions.patterns import Context

HashKey = Callable[[str, str, str], str | None]
"""Takes region, table and index (may be empty); the name of the partition key, if known."""

_TRANSACTION = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_PARTIQL = re.compile(
    r"""\s*(SELECT|INSERT|DELETE)\b.*?(?:\bFROM\s+|\bINTO\s+)
    "?([\w.-]+?)"?(?:\."?([\w.-]+)"?)?(?=[\s"(]|$)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_UPDATE = re.compile(r"\s*UPDATE\s+\"?([\w.-]+)\"?", re.IGNORECASE)
_NAME = re.compile(r"(?<![:\w.])(#?[A-Za-z_]\w*+)(?!\s*\()")
_WORDS = frozenset({"and", "or", "not", "between", "in", "set", "remove", "add", "delete"})
_EXPRESSIONS = (
    "ProjectionExpression",
    "UpdateExpression",
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
)


class DynamoDbCalls:
    """Reads calls of DynamoDB.

    Args:
        hash_key: looks up a table's partition key, for `dynamodb:LeadingKeys`.
    """

    def __init__(self, hash_key: HashKey) -> None:
        self._hash_key = hash_key

    def accesses(self, call: HttpCall) -> list[Access]:
        """Return the permissions that a call needs."""
        members, operation = call.members, call.operation
        if operation in ("BatchGetItem", "BatchWriteItem"):
            return self._batch(call, operation)
        if operation in ("TransactGetItems", "TransactWriteItems"):
            return [
                self._on_table(call, _TRANSACTION[kind], request)
                for item in _mappings(members.get("TransactItems"))
                for kind, request in item.items()
                if kind in _TRANSACTION and isinstance(request, Mapping)
            ]
        if operation in ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"):
            statements = members.get("Statements") or members.get("TransactStatements")
            return [
                _partiql(call, str(each.get("Statement", "")))
                for each in (_mappings(statements) if statements else [members])
            ]
        if members.get("TableName"):
            return [self._on_table(call, operation, members)]
        return [Access(f"dynamodb:{operation}", _other_resource(call, operation))]

    def _on_table(self, call: HttpCall, operation: str, members: Mapping[str, Any]) -> Access:
        table, index = str(members.get("TableName", "")), str(members.get("IndexName", ""))
        resource = _table_arn(call, table) + (f"/index/{index}" if index else "")

        def keys() -> Context:
            return _known(
                {
                    "dynamodb:leadingkeys": self._leading_keys(call, table, index, members),
                    "dynamodb:attributes": _attributes(members),
                    **_options(members),
                }
            )

        return Access(f"dynamodb:{operation}", resource, keys)

    def _batch(self, call: HttpCall, operation: str) -> list[Access]:
        found = []
        for table, wanted in (call.members.get("RequestItems") or {}).items():
            items = wanted.get("Keys") if isinstance(wanted, Mapping) else None
            if items is None:
                requests = [r for each in _mappings(wanted) for r in each.values()]
                items = [r.get("Item") or r.get("Key") or {} for r in _mappings(requests)]
            found.append(
                Access(
                    f"dynamodb:{operation}",
                    _table_arn(call, table),
                    self._batch_keys(call, table, items, wanted),
                )
            )
        return found

    def _batch_keys(
        self, call: HttpCall, table: str, items: Iterable[Any], wanted: Any
    ) -> Callable[[], Context]:
        def keys() -> Context:
            name = self._hash_key(call.scope[1], _name(table), "")
            names = {key for item in _mappings(items) for key in item}
            if isinstance(wanted, Mapping):
                names |= set(_attributes(wanted))
            return _known(
                {
                    "dynamodb:leadingkeys": tuple(
                        text for item in _mappings(items) for text in _scalar(item.get(name or ""))
                    ),
                    "dynamodb:attributes": tuple(sorted(names)),
                    **_options(call.members),
                }
            )

        return keys

    def _leading_keys(
        self, call: HttpCall, table: str, index: str, members: Mapping[str, Any]
    ) -> tuple[str, ...]:
        name = self._hash_key(call.scope[1], _name(table), index)
        if name is None:
            return ()
        item = members.get("Item") or members.get("Key")
        if isinstance(item, Mapping):
            return _scalar(item.get(name))
        legacy = (members.get("KeyConditions") or {}).get(name)
        if isinstance(legacy, Mapping):
            values = legacy.get("AttributeValueList") or [None]
            return _scalar(values[0])
        return _queried(name, members)


def _queried(hash_key: str, members: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the partition that a key condition names."""
    names = members.get("ExpressionAttributeNames") or {}
    values = members.get("ExpressionAttributeValues") or {}
    expression = str(members.get("KeyConditionExpression") or "")
    for left, right in re.findall(r"([#:\w]+)\s*=\s*([#:\w]+)", expression):
        name, value = (left, right) if right.startswith(":") else (right, left)
        if names.get(name, name) == hash_key:
            return _scalar(values.get(value))
    return ()


def _attributes(members: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the top-level attributes that a request names."""
    names = members.get("ExpressionAttributeNames") or {}
    found = set(members.get("AttributesToGet") or ())
    for part in ("Item", "Key", "KeyConditions", "Expected", "AttributeUpdates"):
        found |= set(members.get(part) or ())
    for part in _EXPRESSIONS:
        for name in _NAME.findall(str(members.get(part) or "")):
            if name.lower() not in _WORDS:
                found.add(names.get(name, name))
    return tuple(sorted(found))


def _options(members: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        f"dynamodb:{name.lower()}": (str(members[name]),)
        for name in ("Select", "ReturnValues", "ReturnConsumedCapacity")
        if name in members
    }


def _partiql(call: HttpCall, statement: str) -> Access:
    found = _PARTIQL.match(statement)
    update = _UPDATE.match(statement)
    if found is None and update is None:
        return Access("dynamodb:PartiQLSelect", _table_arn(call, "*"))
    if update is not None:
        return Access("dynamodb:PartiQLUpdate", _table_arn(call, update[1]))
    assert found is not None
    index = f"/index/{found[3]}" if found[3] else ""
    return Access(f"dynamodb:PartiQL{found[1].title()}", _table_arn(call, found[2]) + index)


def _other_resource(call: HttpCall, operation: str) -> str:
    for name in ("ResourceArn", "StreamArn", "BackupArn", "TableArn", "ExportArn", "ImportArn"):
        if call.members.get(name):
            return str(call.members[name])
    return _table_arn(call, "*") if operation == "ListTables" else "*"


def _table_arn(call: HttpCall, table: str) -> str:
    return table if table.startswith("arn:") else call.arn("dynamodb", f"table/{table}")


def _name(table: str) -> str:
    return table.rsplit(":table/", 1)[-1]


def _scalar(value: Any) -> tuple[str, ...]:
    """Return the text of a key's value, whichever its type."""
    return tuple(str(text) for text in value.values()) if isinstance(value, Mapping) else ()


def _mappings(items: Any) -> list[Mapping[str, Any]]:
    return [item for item in items or () if isinstance(item, Mapping)]


def _known(keys: Mapping[str, tuple[str, ...]]) -> Context:
    return {name: values for name, values in keys.items() if values}
