"""Makes moto quick; what it answers stays moto's.

moto 5's `Query` reads and sorts the whole table, lists its own folders on every request, looks
for every attribute's value under some 40 names that it might have, compiles six patterns for every
word of a condition, and parses every update twice and copies it node by node. A table that is
polled needs better. Only `moto_server` applies this.
"""

from __future__ import annotations

import functools
import pickle  # nosec B403  # for what is made here alone
from collections import deque
from collections.abc import Callable
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.serialize import BaseJSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models.table import Table
from moto.dynamodb.parsing import ast_nodes, expressions

_EXPRESSIONS = 500
"""So many expressions are remembered, parsed."""
_STRING_COMPARISONS: dict[str, Callable[..., bool]] = {
    "=": lambda key, value: key == value,
    "EQ": lambda key, value: key == value,
    "<": lambda key, value: key < value,
    "LT": lambda key, value: key < value,
    "<=": lambda key, value: key <= value,
    "LE": lambda key, value: key <= value,
    ">": lambda key, value: key > value,
    "GT": lambda key, value: key > value,
    ">=": lambda key, value: key >= value,
    "GE": lambda key, value: key >= value,
    "BETWEEN": lambda key, low, high: low <= key <= high,
    "BEGINS_WITH": lambda key, prefix: key.startswith(prefix),
}


def make_quick() -> None:
    """Replace what is slow in moto, in this process."""
    folders = tuple(backends.list_of_moto_modules())
    modules: list[Any] = [backends, responses]  # Any: what is replaced is not theirs to export
    modules[0].list_of_moto_modules = lambda: folders
    modules[1].method_names_from_class = functools.cache(method_names_from_class)
    table: Any = Table
    table.query = _quick(Table.query)
    serializer: Any = BaseJSONSerializer
    serializer._serialize_type_structure = _direct(serializer._serialize_type_structure)
    parser: Any = ConditionExpressionParser
    parser._lex_condition_expression = _remembered(parser._lex_condition_expression)
    parsing: list[Any] = [expressions, ast_nodes]
    updates = parsing[0].UpdateExpressionParser  # whoever changes a tree copies it first
    updates.make = functools.lru_cache(_EXPRESSIONS)(updates.make)
    parsing[1].Node.__deepcopy__ = _copied


class _Partition:
    """A table in which moto's own `query` finds the items of one partition only."""

    def __init__(self, table: Any, items: list[Any]) -> None:
        self._table = table
        self._items = items

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def all_items(self) -> list[Any]:
        """Return the items that can be meant; `query` compares and sorts them again."""
        return self._items


def _quick(query: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(query)
    def narrowed(
        table: Any,
        hash_key: Any,
        range_comparison: str | None,
        range_objs: list[Any],
        limit: int,
        exclusive_start_key: dict[str, Any],
        scan_index_forward: bool,
        projection_expressions: Any,
        index_name: str | None = None,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        if index_name is None and hash_key is not None:
            table = _Partition(table, _meant(table, hash_key, range_comparison, range_objs))
        return query(
            table,
            hash_key,
            range_comparison,
            range_objs,
            limit,
            exclusive_start_key,
            scan_index_forward,
            projection_expressions,
            index_name,
            *arguments,
            **options,
        )

    return narrowed


def _meant(table: Any, hash_key: Any, comparison: str | None, values: list[Any]) -> list[Any]:
    found = table.items.get(hash_key)
    if found is None:
        return []
    if not table.has_range_key:
        return [found]
    compare = _STRING_COMPARISONS.get((comparison or "").upper())
    if compare is None or table.range_key_type != "S":
        return list(found.values())
    wanted = [value.value for value in values]
    return [item for key, item in found.items() if compare(key.value, *wanted)]


def _direct(serialize: Callable[..., None]) -> Callable[..., None]:
    """Return a value of DynamoDB has just the members that are there, under their own names."""

    @functools.wraps(serialize)
    def quick(self: Any, serialized: dict[str, Any], value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict or not key:
            serialize(self, serialized, value, shape, key)
            return
        members: dict[str, Any] = {}
        for name, member in value.items():
            if member is not None:
                self._serialize(members, member, shape.members[name], name)
        self._default_serialize(serialized, members, shape, key)

    return quick


def _remembered(lex: Callable[[Any], deque[Any]]) -> Callable[[Any], deque[Any]]:
    """Return the words of a condition, which are the same whenever it is the same."""
    known: dict[str, tuple[Any, ...]] = {}

    @functools.wraps(lex)
    def quick(self: Any) -> deque[Any]:
        expression = self.condition_expression
        if expression not in known:
            if len(known) >= _EXPRESSIONS:
                known.clear()
            known[expression] = tuple(lex(self))
        return deque(known[expression])

    return quick


def _copied(node: Any, _memo: dict[int, Any]) -> Any:
    """Return a tree of an update, copied as a whole."""
    packed = pickle.dumps(node)
    return pickle.loads(packed)  # noqa: S301  # nosec B301  # made a line above
