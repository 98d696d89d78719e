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
_TICK_NS = 2_000_000_000
"""The longest step of a file system's clock: FAT has one of two seconds."""

State = tuple[int, int]
"""A file's time of change and its size."""


class Folder:
    """The files below a folder, for all who ask about them.

    The functions of a stack share their layers: each of them would look at the same files.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._next_look_s = 0.0
        self._files: dict[str, State] = {}
        self._folders: dict[str, int] = {}
        self._settled = False
        self.version = 0
        """Another number whenever the files are others."""

    def files(self) -> dict[str, State]:
        """Return them as they are, or were when they were looked at a moment ago."""
        if time.monotonic() >= self._next_look_s:
            began = time.thread_time()  # what others made us wait for is no cost of looking
            found = self._look_again() if self._settled else None
            if found is None:
                found = self._look()
            cost_s = time.thread_time() - began
            self._next_look_s = time.monotonic() + cost_s * _SHARE
            if found != self._files:
                self._files = found
                self.version += 1
        return self._files

    def _look(self) -> dict[str, State]:
        """Return the files that are there, and note their folders."""
        began_ns = time.time_ns()
        self._folders = {}
        found = dict(_files(self._path, self._folders))
        # A folder that has only just changed may change again within one tick of its clock.
        newest_ns = max(self._folders.values(), default=began_ns)
        self._settled = newest_ns < began_ns - _TICK_NS
        return found

    def _look_again(self) -> dict[str, State] | None:
        """Return the files that were there, as they are now; None if there may be others.

        To ask after what is known takes half the time of listing it.
        """
        try:
            for path, changed_ns in self._folders.items():
                if os.stat(path).st_mtime_ns != changed_ns:
                    return None
            return {path: _state(os.stat(path)) for path in self._files}
        except OSError:  # removed meanwhile
            return None


class Folders:
    """The folders of a stack, each once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Folder] = {}

    def sources(self, paths: Iterable[Path]) -> Sources:
        """Return the files below some of them."""
        return Sources([self._folders.setdefault(path, Folder(path)) for path in paths])


class Sources:
    """The files of a function.

    Args:
        folders: its code and its layers.
    """

    def __init__(self, folders: Iterable[Folder]) -> None:
        self._folders = list(folders)
        self._seen = self._look()
        self._versions = [folder.version for folder in self._folders]

    def changed(self) -> list[str]:
        """Return the names of files that were changed, made or removed since it was last asked."""
        for folder in self._folders:
            folder.files()
        versions = [folder.version for folder in self._folders]
        if versions == self._versions:
            return []
        before, self._seen, self._versions = self._seen, self._look(), versions
        names = sorted(before.keys() | self._seen.keys())
        return [name for name in names if before.get(name) != self._seen.get(name)]

    def _look(self) -> dict[str, State]:
        return {path: state for each in self._folders for path, state in each.files().items()}


def _files(folder: str, folders: dict[str, int]) -> Iterator[tuple[str, State]]:
    """Return files with their times of change and sizes; hidden and generated ones are left out.

    Args:
        folders: takes the time of change of each folder.
    """
    try:
        folders[folder] = os.stat(folder).st_mtime_ns  # before: what comes later is seen next time
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name in _IGNORED or name.endswith(_IGNORED_SUFFIXES):
            continue
        try:
            if entry.is_dir():
                yield from _files(entry.path, folders)
            else:
                yield entry.path, _state(entry.stat())
        except OSError:  # removed meanwhile
            continue


def _state(status: os.stat_result) -> State:
    return status.st_mtime_ns, status.st_size
