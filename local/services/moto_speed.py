"""Makes moto quick and its writes atomic; what it answers stays moto's.

moto 5's `Query` reads and sorts the whole table, lists its own folders on every request,
and handles concurrent requests on threads without a lock, so that two conditional writes
may both hold. A table that is polled needs better. Only `moto_server` applies this.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import backends
from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.dynamodb.models.table import Table

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

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


def one_at_a_time(app: Wsgi) -> Wsgi:
    """The application with requests handled one after the other, as if each were atomic.

    The body is read before: a slow client holds nobody up.
    """
    lock = threading.Lock()

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH")
        if length:
            environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
        with lock:
            return list(app(environ, start_response))

    return serve


class _Partition:
    """A table in which moto's own `query` finds the items of one partition only."""

    def __init__(self, table: Any, items: list[Any]) -> None:
        self._table = table
        self._items = items

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def all_items(self) -> list[Any]:
        """The items that can be meant; `query` compares and sorts them again."""
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
