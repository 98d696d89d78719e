"""Gives test files to workers so that few of them start the same stack.

A stack costs some seconds of a processor. Any worker may have any file, but one that has the
file's stack already comes first.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

ROOT = Path(__file__).parents[1]
# The session's fixtures that start a stack, as they and those that need them are named in tests;
# and how many workers may have one while there are other files to run.
STACKS = {
    "recording": (re.compile(r"\b(recording_stack: Stack|records: Records)\b"), 1),
    "secret": (re.compile(r"\bsecret_stack: Stack\b"), 1),
    "shared": (re.compile(r"\b(shared_stack|stack): Stack\b"), 2),
}


class StackScheduling(LoadFileScheduling):  # type: ignore[misc]  # has no types
    """A whole file at a time, as `--dist loadfile`, each where its stack is."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        self._workers: defaultdict[str, set[WorkerController]] = defaultdict(set)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Take the first file that is best run here."""
        file = next((file for file in self.workqueue if self._suits(node, file)), None)
        if file is not None:
            self.workqueue.move_to_end(file, last=False)
        else:
            file = next(iter(self.workqueue))
        self._workers[stack_of(file)].add(node)
        super()._assign_work_unit(node)

    def _suits(self, node: WorkerController, file: str) -> bool:
        stack = stack_of(file)
        having = self._workers[stack]
        return not stack or node in having or len(having) < STACKS[stack][1]


@functools.cache
def stack_of(file: str) -> str:
    """Return which of `STACKS` the tests of a file use; empty for none of them."""
    text = (ROOT / file).read_text()
    if "from tests.e2e." not in text:
        return ""
    return next((stack for stack, (used, _) in STACKS.items() if used.search(text)), "")
