"""Keeps the items of moto's tables in a file, so that the next start has them (`--db-path`).

Only `moto_server` uses this, in moto's own process. A request notes the keys that it has changed;
what they have become is written a few times a second, in a thread. So a process that is killed
loses the last moment at most, and a call waits for no disk.

The file is SQLite's. What is deleted is overwritten in it. One process has it at a time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from samwire.template.intrinsics import ACCOUNT_ID

FILE = "samwire.db"
FORMAT = 1
WRITE_EVERY_S = 0.25
_SCHEMA = """
CREATE TABLE tables (region TEXT, name TEXT, keys TEXT, ttl TEXT, PRIMARY KEY (region, name));
CREATE TABLE items (
  region TEXT, name TEXT, key TEXT, item TEXT, PRIMARY KEY (region, name, key)
) WITHOUT ROWID;
"""


class Changed(NamedTuple):
    """An item that has changed, or has gone."""

    region: str
    table: str
    key: str


class TableFile:
    """The file, and what has still to be written.

    Args:
        folder: that it is in; made if it is not there.

    Attributes:
        notice: what a developer should know of the file, in a sentence; empty for nothing.

    Raises:
        OSError: the folder cannot be made, or the file not be set aside.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.notice = ""
        self._path = folder / FILE
        self._changed: set[Changed] = set()
        self._tables: set[tuple[str, str]] = set()
        self._database = self._open()

    def note(self, region: str, table: str, key: dict[str, Any]) -> None:
        """Note that an item has been written or deleted."""
        self._changed.add(Changed(region, table, json.dumps(key, sort_keys=True)))

    def note_table(self, region: str, name: str) -> None:
        """Note that a table's own settings, or its existence, have changed."""
        self._tables.add((region, name))

    def load(self, region: str, name: str) -> None:
        """Put what is kept of a table into it, unless it has other keys now or the time is over."""
        table = _table(region, name)
        if self._database is None or table is None:
            return
        found = self._database.execute(
            "SELECT keys, ttl FROM tables WHERE region = ? AND name = ?", (region, name)
        ).fetchone()
        self.note_table(region, name)
        if found is None:
            return
        if found[0] != _keys(table):
            self._database.execute(
                "DELETE FROM items WHERE region = ? AND name = ?", (region, name)
            )
            self._database.commit()
            return
        rows = self._database.execute(
            "SELECT key, item FROM items WHERE region = ? AND name = ?", (region, name)
        )
        for key, text in rows:
            item = _with_bytes(json.loads(text))
            if _is_over(item, found[1]):
                self._changed.add(Changed(region, name, key))
            else:
                table.put_item(item, overwrite=True)

    async def keep(self) -> None:
        """Write what changes until this is cancelled, and then the rest."""
        try:
            while True:
                await asyncio.sleep(WRITE_EVERY_S)
                await asyncio.to_thread(self._write, *self._taken())
        finally:
            self._write(*self._taken())

    def _taken(self) -> tuple[list[tuple[str, ...]], list[tuple[Changed, str | None]]]:
        """Return rows of tables and items as they are now, and count them as written."""
        tables, self._tables = self._tables, set()
        changed, self._changed = self._changed, set()
        rows = [(region, name, *_described(_table(region, name))) for region, name in tables]
        return rows, [(each, _text(each)) for each in changed]

    def _write(
        self, tables: list[tuple[str, ...]], items: list[tuple[Changed, str | None]]
    ) -> None:
        if self._database is None or not (tables or items):
            return
        with self._database as database:
            for region, name, *described in tables:
                where = (region, name)
                database.execute("DELETE FROM tables WHERE region = ? AND name = ?", where)
                if described:
                    database.execute("INSERT INTO tables VALUES (?, ?, ?, ?)", (*where, *described))
                else:
                    database.execute("DELETE FROM items WHERE region = ? AND name = ?", where)
            gone = [each for each, text in items if text is None]
            database.executemany(
                "DELETE FROM items WHERE region = ? AND name = ? AND key = ?", gone
            )
            kept = [(*each, text) for each, text in items if text is not None]
            database.executemany("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)", kept)

    def _open(self) -> sqlite3.Connection | None:
        """Open the file; one that cannot be used is set aside, one that is in use left alone."""
        try:
            return self._opened()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                self.notice = f"{self._path} is in use: what is stored now is not kept."
                return None
            reason = str(error)
        except sqlite3.DatabaseError as error:
            reason = str(error)
        aside = self._path.with_name(f"{FILE}.{int(time.time())}")
        self._path.rename(aside)
        self.notice = f"{self._path} cannot be used ({reason}). It is now {aside.name}."
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        """Open the file, or make it.

        Raises:
            sqlite3.DatabaseError: it is none of these files, or of another format.
        """
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        database = sqlite3.connect(self._path, timeout=0, check_same_thread=False)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA secure_delete = ON")
            database.execute("BEGIN EXCLUSIVE")
            database.commit()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                database.executescript(f"{_SCHEMA} PRAGMA user_version = {FORMAT};")
            elif version != FORMAT:
                raise sqlite3.DatabaseError(f"format {version}, not {FORMAT}")
            (checked,) = database.execute("PRAGMA quick_check(1)").fetchone()
            if checked != "ok":
                raise sqlite3.DatabaseError("it is damaged")
        except sqlite3.Error:
            database.close()
            raise
        return database


def _table(region: str, name: str) -> Table | None:
    found: Table | None = dynamodb_backends[ACCOUNT_ID][region].tables.get(name)
    return found


def _described(table: Table | None) -> Iterator[str]:
    """Yield a table's keys and its attribute for the time to live; nothing of one that has gone."""
    if table is not None:
        ttl = table.ttl
        yield _keys(table)
        yield ttl.get("AttributeName", "") if ttl.get("TimeToLiveStatus") == "ENABLED" else ""


def _keys(table: Table) -> str:
    names = [
        (table.hash_key_attr, table.hash_key_type),
        (table.range_key_attr, table.range_key_type),
    ]
    return json.dumps(names)


def _text(changed: Changed) -> str | None:
    """Return an item as it is now, as JSON; None if it has gone."""
    table = _table(changed.region, changed.table)
    if table is None:
        return None
    key = _with_bytes(json.loads(changed.key))
    range_key = DynamoType(key[table.range_key_attr]) if table.range_key_attr else None
    item = table.get_item(DynamoType(key[table.hash_key_attr]), range_key)
    if item is None:
        return None
    return json.dumps({name: _plain(value) for name, value in item.attrs.items()})


def _plain(value: Any) -> Any:
    """Return what an item consists of as DynamoDB's JSON."""
    if isinstance(value, DynamoType):
        return {value.type: _plain(value.value)}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _with_bytes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes in DynamoDB's JSON as moto has them: bytes are bytes."""
    return {name: _as_moto_has_it(*each.popitem()) for name, each in attributes.items()}


def _as_moto_has_it(kind: str, value: Any) -> dict[str, Any]:
    match kind:
        case "B":
            return {kind: base64.b64decode(value)}
        case "BS":
            return {kind: [base64.b64decode(each) for each in value]}
        case "L":
            return {kind: [_as_moto_has_it(*each.popitem()) for each in value]}
        case "M":
            return {kind: _with_bytes(value)}
    return {kind: value}


def _is_over(item: dict[str, Any], ttl: str) -> bool:
    until = item.get(ttl, {}).get("N") if ttl else None
    return until is not None and float(until) < time.time()
