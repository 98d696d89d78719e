"""Notices that a function's source files have changed, by looking when it is invoked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_SHARE = 20
"""Looking takes at most one part in so many of the time: a large tree is looked at rarely."""
_IGNORED = frozenset({"__pycache__", "node_modules"})
_IGNORED_SUFFIXES = (".pyc", ".log")


class Sources:
    """The files below some folders.

    Args:
        folders: the function's code and its layers.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._next_look_s = 0.0
        self._seen = self._look()

    def changed(self) -> list[str]:
        """Return the names of files that were changed, made or removed since it was last asked."""
        if time.monotonic() < self._next_look_s:
            return []
        before, self._seen = self._seen, self._look()
        if before == self._seen:
            return []
        names = sorted(before.keys() | self._seen.keys())
        return [name for name in names if before.get(name) != self._seen.get(name)]

    def _look(self) -> dict[str, tuple[int, int]]:
        began = time.thread_time()  # what others made us wait for is no cost of looking
        found = {path: state for folder in self._folders for path, state in _files(str(folder))}
        cost_s = time.thread_time() - began
        self._next_look_s = time.monotonic() + cost_s * _SHARE
        return found


def _files(folder: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Return files with their times of change and sizes; hidden and generated ones are left out."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name in _IGNORED or name.endswith(_IGNORED_SUFFIXES):
            continue
        try:
            if entry.is_dir():
                yield from _files(entry.path)
            else:
                status = entry.stat()
                yield entry.path, (status.st_mtime_ns, status.st_size)
        except OSError:  # removed meanwhile
            continue
