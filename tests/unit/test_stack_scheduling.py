"""Which worker runs which file."""

from __future__ import annotations

from typing import Any

import pytest

from tests import stack_scheduling
from tests.stack_scheduling import StackScheduling, stack_of

FILES = {"a": "shared", "b": "shared", "c": "secret", "d": "", "e": "shared", "f": "secret"}


class Worker:
    """Takes every file it is given."""

    shutting_down = False

    def __init__(self) -> None:
        self.files: list[str] = []

    def send_runtest_some(self, indexes: list[int]) -> None:
        self.files += [f"{list(FILES)[index]}" for index in indexes]


@pytest.fixture
def scheduling(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Any:
    monkeypatch.setattr(stack_scheduling, "stack_of", FILES.__getitem__)
    monkeypatch.setattr(pytestconfig.option, "tx", ["popen"])
    scheduling: Any = StackScheduling(pytestconfig)
    for file in FILES:
        scheduling.workqueue[file] = {f"{file}::test": False}
    return scheduling


def assign(scheduling: Any, worker: Worker) -> None:
    scheduling.registered_collections[worker] = [f"{file}::test" for file in FILES]
    scheduling._assign_work_unit(worker)


def test_a_file_goes_where_its_stack_is_and_nobody_is_idle(scheduling: Any) -> None:
    first, second, third = Worker(), Worker(), Worker()
    for worker in (first, second, third):
        assign(scheduling, worker)
    assert [first.files, second.files, third.files] == [["a"], ["b"], ["c"]]
    assign(scheduling, third)
    assert third.files == ["c", "d"]  # not `e`: two workers have its stack
    assign(scheduling, second)
    assert second.files == ["b", "e"]
    assign(scheduling, second)
    assert second.files == ["b", "e", "f"]  # there is nothing else
    assert not scheduling.workqueue


def test_stacks_are_told_from_the_tests() -> None:
    assert stack_of("tests/e2e/test_recording.py") == "recording"
    assert stack_of("tests/e2e/test_access_secret.py") == "secret"
    assert stack_of("tests/e2e/test_conversation.py") == "shared"
    assert stack_of("tests/browser/test_fallback.py") == "shared"
    assert stack_of("tests/unit/test_stack_scheduling.py") == ""
