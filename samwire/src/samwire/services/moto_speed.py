"""Makes moto quick; what it answers stays moto's.

moto 5's `Query` reads and sorts the whole table, lists its own folders on every request, looks
for every attribute's value under some 40 names that it might have, compiles six patterns for every
word of a condition, parses every update twice and copies it node by node, weighs an item anew for
each of its attributes, and copies the whole table for each part of a transaction. A table that is
polled needs better. Only `moto_server` applies this.
"""

from __future__ import annotations

import contextvars
import copy
import functools
import pickle  # nosec B403  # for what is made here alone
from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.serialize import BaseJSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb import models
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.models import dynamo_type
from moto.dynamodb.models.dynamo_type import DynamoType
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
    parsing[1].Node.find_clauses = _found_clauses
    parsing[1].DepthFirstTraverser.traverse_node_recursively = _traversed
    weighed: Any = dynamo_type.LimitedSizeDict
    weighed.__setitem__ = _weighed_if_large(weighed.__setitem__)
    backend: Any = models
    backend.DynamoDBBackend.transact_write_items = _noting_what_is_written(
        backend.DynamoDBBackend.transact_write_items
    )
    backend.copy = SimpleNamespace(copy=copy.copy, deepcopy=_copied_as_far_as_written)


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


@functools.cache
def _is_kind(found: type, kinds: tuple[type, ...]) -> bool:
    """Return whether instances of a class are of one of some kinds: these are abstract classes,
    which take ten times as long to tell."""
    return issubclass(found, kinds)


_NODE = (ast_nodes.Node,)
_WITH_CLAUSES = (ast_nodes.Expression, ast_nodes.UpdateExpressionFunction)


def _traversed(self: Any, node: Any, child_id: int = -1) -> Any:
    """Do what moto's own does, looking up once for each walk what it looks up at each node."""
    kinds = self.nodes_to_be_processed()
    base: Any = ast_nodes.DepthFirstTraverser
    prepares = type(self).pre_processing_of_child is not base.pre_processing_of_child

    def walk(node: Any, child_id: int) -> Any:
        kind: Any = type(node)
        if not _is_kind(kind, _NODE):
            return node
        parent = node.parent
        for place, child in enumerate(node.children or ()):
            if prepares:
                self.pre_processing_of_child(node, place)
            walk(child, place)
        if _is_kind(kind, kinds):
            node = self.process(node)
            node.parent = parent
            if parent:
                parent.children[child_id] = node
        return node

    return walk(node, child_id)


def _found_clauses(self: Any, clause_types: Any) -> list[Any]:
    """Do what moto's own does."""
    clauses = []
    for child in self.children or ():
        kind: Any = type(child)
        if kind in clause_types:
            clauses.append(child)
        elif _is_kind(kind, _WITH_CLAUSES):
            clauses.extend(_found_clauses(child, clause_types))
    return clauses


_HARMLESS_BYTES = 200_000
"""Half of what an item may have: below it nobody has to look closely."""
_BYTES_OF_A_CHARACTER = 4


def _weighed_if_large(store: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(store)
    def quick(self: Any, key: str, value: Any) -> None:
        bound = _at_most_bytes(key, value)
        if bound is not None:
            for each in self.items():
                more = _at_most_bytes(*each)
                if more is None or (bound := bound + more) > _HARMLESS_BYTES:
                    break
            else:
                dict.__setitem__(self, key, value)
                return
        store(self, key, value)

    return quick


def _at_most_bytes(key: str, value: Any) -> int | None:
    """Return more than an attribute weighs; None if that takes more than a look."""
    if type(value) is not DynamoType:
        return None
    inner = value.value
    if type(inner) is str:
        return (len(key) + len(inner)) * _BYTES_OF_A_CHARACTER
    if type(inner) is bool:
        return len(key) * _BYTES_OF_A_CHARACTER + 1
    return len(key) * _BYTES_OF_A_CHARACTER + int(value.size())


_written: contextvars.ContextVar[list[dict[str, Any]]] = contextvars.ContextVar("written")


def _noting_what_is_written(write: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(write)
    def noting(self: Any, transact_items: list[dict[str, Any]]) -> None:
        token = _written.set(transact_items)
        try:
            write(self, transact_items)
        finally:
            _written.reset(token)

    return noting


def _copied_as_far_as_written(what: Any, *memo: Any) -> Any:
    """Copy a table that a transaction may have to put back: only what that may write to."""
    items = _written.get(None)
    if items is None or type(what) is not Table or what.stream_shard is not None:
        return copy.deepcopy(what, *memo)
    table: Any = copy.copy(what)
    table.items = copy.copy(what.items)
    for hash_key, range_key in _keys(what, items):
        if hash_key not in what.items:
            continue
        found = table.items[hash_key]
        if what.has_range_key:
            if found is what.items[hash_key]:
                found = table.items[hash_key] = dict(found)
            if range_key in found:
                found[range_key] = copy.deepcopy(found[range_key])
        else:
            table.items[hash_key] = copy.deepcopy(found)
    return table


def _keys(table: Any, items: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield the keys in a table that a transaction names."""
    for item in items:
        for asked in item.values():
            key = asked.get("Key") or asked.get("Item") or {}
            named = asked.get("TableName") in (table.name, table.table_arn)
            if named and table.hash_key_attr in key:
                range_key = key.get(table.range_key_attr) if table.range_key_attr else None
                yield DynamoType(key[table.hash_key_attr]), range_key and DynamoType(range_key)
