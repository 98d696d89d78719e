"""The parts of the local Lambda that decide: concurrency, retries, log lines, changed files."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from samwire.log_writer import LogWriter
from samwire.runtime.call import Result
from samwire.runtime.concurrency import Concurrency, OverReserved, Throttled
from samwire.runtime.destinations import Settled
from samwire.runtime.interpreter import OWN, other_runtimes
from samwire.runtime.platform_log import PlatformLog, Report
from samwire.runtime.retry_policy import Condition, Retry, RetryPolicy
from samwire.runtime.sources import Folders, Sources
from samwire.template.model import EventInvoke
from samwire_tests.lambda_harness import function

# --- concurrency ------------------------------------------------------------------------------


def test_reserved_concurrency_is_the_functions_alone_and_its_most() -> None:
    concurrency = Concurrency(3, {"reserved": 1})
    with concurrency.one("reserved"), concurrency.one("a"), concurrency.one("b"):
        with pytest.raises(Throttled) as own:
            concurrency.one("reserved").__enter__()
        with pytest.raises(Throttled) as shared:
            concurrency.one("c").__enter__()
    assert own.value.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert shared.value.reason == "ConcurrentInvocationLimitExceeded"
    with concurrency.one("reserved"), concurrency.one("c"):
        pass  # what has ended has given its place back


def test_more_cannot_be_reserved_than_there_is() -> None:
    with pytest.raises(OverReserved, match=r"reserve 5 concurrent executions.*the account has 4"):
        Concurrency(4, {"a": 2, "b": 3})


# --- retries ----------------------------------------------------------------------------------


def test_a_failure_is_tried_again_twice_by_default_the_second_time_later() -> None:
    retrying = RetryPolicy(EventInvoke(), retry_delay_s=60)
    assert retrying.failed(0) == Retry(60)
    assert retrying.failed(60) == Retry(120)
    assert retrying.failed(180) is Condition.RETRIES_EXHAUSTED


def test_throttling_backs_off_to_five_minutes_and_costs_no_retries() -> None:
    retrying = RetryPolicy(EventInvoke(retries=0), retry_delay_s=60)
    delays = [step.delay_s for _ in range(11) if isinstance(step := retrying.throttled(0), Retry)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("kind", ["failed", "throttled"])
def test_an_event_that_would_be_too_old_is_given_up(kind: str) -> None:
    retrying = RetryPolicy(EventInvoke(max_age_s=60), retry_delay_s=1)
    assert getattr(retrying, kind)(59.5) is Condition.EVENT_AGE_EXCEEDED


# --- runtimes ---------------------------------------------------------------------------------


def test_runtimes_that_functions_do_not_get_are_named(tmp_path: Path) -> None:
    functions = [function(tmp_path, runtime=each) for each in (OWN, "python3.8", "python3.8")]
    (notice,) = other_runtimes(functions)
    assert notice.startswith(f"Functions of python3.8 run on {OWN} here")


# --- records ----------------------------------------------------------------------------------


def settled(result: Result | None, condition: Condition = Condition.RETRIES_EXHAUSTED) -> Settled:
    return Settled("id", "arn:f:live", "1", b'{"a": 1}', condition, 3, result)


def test_an_event_that_never_ran_has_no_response_in_its_record() -> None:
    record = settled(None, Condition.EVENT_AGE_EXCEEDED).record()
    assert "responseContext" not in record
    assert "responsePayload" not in record
    assert record["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_dead_letter_carries_a_kilobyte_of_the_error() -> None:
    attributes = settled(Result.failure("E", "é" * 2000)).dead_letter_attributes()
    assert len(attributes["ErrorMessage"]["StringValue"].encode()) == 1024
    assert attributes["ErrorCode"] == {"DataType": "Number", "StringValue": "200"}


# --- log lines --------------------------------------------------------------------------------

COLD = Report("id", 12.345, 100.5, 128, 64)


def test_the_report_of_a_cold_start_bills_the_initialisation() -> None:
    assert PlatformLog("Text").end(COLD) == [
        "END RequestId: id",
        "REPORT RequestId: id\tDuration: 12.35 ms\tBilled Duration: 113 ms\tMemory Size: 128 MB"
        "\tMax Memory Used: 64 MB\tInit Duration: 100.50 ms",
    ]


@pytest.mark.parametrize(
    ("error_type", "ending"),
    [
        ("Sandbox.Timedout", "\tStatus: timeout"),
        ("Runtime.OutOfMemory", "\tStatus: error\tError Type: Runtime.OutOfMemory"),
    ],
)
def test_a_report_says_what_went_wrong(error_type: str, ending: str) -> None:
    report = Report("id", 1.0, None, 128, 64, error_type)
    assert PlatformLog("Text").end(report)[1].endswith(f"Max Memory Used: 64 MB{ending}")


def test_structured_reports_are_platform_events() -> None:
    (line,) = PlatformLog("JSON").end(COLD)
    event = json.loads(line)
    assert event["type"] == "platform.report"
    assert event["record"] == {
        "requestId": "id",
        "metrics": {
            "durationMs": 12.345,
            "billedDurationMs": 113,
            "memorySizeMB": 128,
            "maxMemoryUsedMB": 64,
            "initDurationMs": 100.5,
        },
        "status": "success",
    }


def written(*lines: tuple[str, str], colour: bool) -> str:
    out = io.StringIO()
    log = LogWriter(out, colour=colour)
    for source, line in lines:
        log(source, line)
    return out.getvalue()


def test_every_function_has_a_colour_of_its_own() -> None:
    text = written(("A", "x"), ("B", "y"), ("A", "z"), colour=True)
    first, second, third = (line.split("|")[0] for line in text.splitlines())
    assert first == third == "\033[36mA\033[0m "
    assert second == "\033[33mB\033[0m "


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("START RequestId: 1 Version: 1", "2"),
        ("REPORT RequestId: 1\tStatus: timeout", "31"),
        ('{"time":"t","type":"platform.start","record":{}}', "2"),
        ("[ERROR] ValueError: no", "31"),
        ("hello", ""),
    ],
)
def test_the_platforms_lines_are_dim_and_errors_red(line: str, code: str) -> None:
    shown = written(("A", line), colour=True).split(" | ")[1].rstrip("\n")
    assert shown == (f"\033[{code}m{line}\033[0m" if code else line)


def test_what_is_no_terminal_gets_no_colours() -> None:
    assert written(("A", "[ERROR]"), colour=False) == "A | [ERROR]\n"


def test_a_traceback_is_written_line_by_line() -> None:
    text = written(("A", "[ERROR] no\rTraceback\r  line"), colour=False)
    assert text == "A | [ERROR] no\nA | Traceback\nA |   line\n"


# --- changed files ----------------------------------------------------------------------------


def changed(sources: Sources) -> list[str]:
    """What has changed, asked until it is looked for again."""
    while not (found := sources.changed()):
        pass
    return [Path(name).name for name in found]


def test_files_that_are_changed_made_and_removed_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    for name in ("kept", "changed", "removed"):
        (folder / f"{name}.py").write_text("x")
    sources = Folders().sources([tmp_path])
    (folder / "changed.py").write_text("xy")
    (folder / "removed.py").unlink()
    (folder / "made.json").write_text("{}")
    assert changed(sources) == ["changed.py", "made.json", "removed.py"]


def test_a_change_that_keeps_the_size_is_noticed_by_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1")
    sources = Folders().sources([tmp_path])
    os.utime(path, (1, 1))
    assert changed(sources) == ["a.py"]


def test_a_change_in_a_shared_layer_is_noticed_by_each_function_once(tmp_path: Path) -> None:
    layer, code = tmp_path / "layer", tmp_path / "code"
    for folder in (layer, code):
        folder.mkdir()
        (folder / "a.py").write_text("x")
    folders = Folders()
    one, other = folders.sources([layer, code]), folders.sources([layer])
    (layer / "a.py").write_text("xy")
    assert changed(one) == ["a.py"]
    assert [Path(name).name for name in other.changed()] == ["a.py"]
    assert one.changed() == other.changed() == []
    (code / "a.py").write_text("xy")
    assert changed(one) == ["a.py"]
    assert other.changed() == []


@pytest.mark.parametrize("what", ["edited", "made", "made below", "removed", "moved"])
def test_a_tree_that_has_not_changed_for_long_is_looked_at_as_well(
    tmp_path: Path, what: str
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    for name in ("a.py", "b.py"):
        (inner / name).write_text("x")
    for path in (tmp_path, inner):  # as old as a source usually is
        os.utime(path, (1, 1))
    sources = Folders().sources([tmp_path])
    match what:
        case "edited":
            (inner / "a.py").write_text("xy")
        case "made":
            (inner / "c.py").write_text("x")
        case "made below":
            (inner / "deeper").mkdir()
            (inner / "deeper" / "c.py").write_text("x")
        case "removed":
            (inner / "a.py").unlink()
        case "moved":
            inner.rename(tmp_path / "outer")
    names = {"made": ["c.py"], "made below": ["c.py"], "moved": ["a.py", "b.py"] * 2}
    assert changed(sources) == names.get(what, ["a.py"])


@pytest.mark.parametrize("name", ["__pycache__/a.pyc", ".git/index", "stack.log"])
def test_what_is_no_source_is_not_looked_at(tmp_path: Path, name: str) -> None:
    sources = Folders().sources([tmp_path])
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    (tmp_path / "a.py").write_text("x")
    assert changed(sources) == ["a.py"]
