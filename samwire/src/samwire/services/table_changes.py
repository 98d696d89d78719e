"""Tells a table file what requests change: a WSGI application in front of moto's."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from samwire.services.table_file import TableFile
from samwire.services.wsgi import Wsgi

_TARGET = "DynamoDB_20120810."
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
_OF_TABLES = ("CreateTable", "DeleteTable", "UpdateTimeToLive")


class TableChanges:
    """Passes every request on.

    Args:
        app: moto's.
        file: is told of changes; it loads a table that has been made.
        key_names: the key attributes of a table in a region.
    """

    def __init__(
        self, app: Wsgi, file: TableFile, key_names: Callable[[str, str], tuple[str, ...]]
    ) -> None:
        self._app = app
        self._file = file
        self._key_names = key_names

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix(_TARGET)
        if operation not in (*_WRITES, *_OF_TABLES):
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        statuses: list[str] = []

        def noting(status: str, *rest: Any) -> Any:
            statuses.append(status)
            return start_response(status, *rest)

        answer = list(self._app(environ, noting))
        if statuses[-1].startswith("200"):
            self._note(operation, json.loads(body), _region(environ))
        return answer

    def _note(self, operation: str, asked: dict[str, Any], region: str) -> None:
        if operation in _OF_TABLES:
            name = table_name(asked["TableName"])
            if operation == "CreateTable":
                self._file.load(region, name)
            else:
                self._file.note_table(region, name)
            return
        for table, attributes in changed_items(operation, asked):
            names = self._key_names(region, table)
            self._file.note(region, table, {name: _known(attributes[name]) for name in names})


def changed_items(operation: str, asked: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the table of each item that a request writes, and attributes with its key."""
    if operation == "BatchWriteItem":
        for table, requests in asked["RequestItems"].items():
            for each in requests:
                (wanted,) = each.values()
                yield table_name(table), wanted.get("Item") or wanted["Key"]
    elif operation == "TransactWriteItems":
        for each in asked["TransactItems"]:
            for kind, wanted in each.items():
                if kind != "ConditionCheck":
                    yield table_name(wanted["TableName"]), wanted.get("Item") or wanted["Key"]
    else:
        yield table_name(asked["TableName"]), asked.get("Item") or asked["Key"]


def table_name(name: str) -> str:
    """Return the name in a table's name or ARN."""
    return name.rpartition("/")[2]


def _known(value: dict[str, Any]) -> dict[str, Any]:
    """Return a key's value in one form: base64 has several."""
    if "B" in value:
        return {"B": base64.b64encode(base64.b64decode(value["B"])).decode()}
    return value


def _region(environ: dict[str, Any]) -> str:
    """Return the region of a signature, which is in the header of every call."""
    parts = str(environ.get("HTTP_AUTHORIZATION", "")).partition("Credential=")[2].split("/")
    return parts[2] if len(parts) > 2 else ""
