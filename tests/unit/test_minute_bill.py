"""What a minute of talk costs follows from what was seen in it."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import aws_prices as prices
from benchmarks.billed_table import TableBill
from benchmarks.cost import BEGIN, END, ROOT, function_ids, traced_functions
from benchmarks.minute_bill import FunctionUse, Minute, lambda_ms, markdown, middle, rows
from benchmarks.minute_price import COSTS, aws_minute_usd


def message(body: str, **more: Any) -> dict[str, Any]:
    return {"kind": "message", "body": body, "bytes": len(body), **more}


def post(body: str, status: int = 200) -> dict[str, Any]:
    return {"kind": "post_connection", "body": body, "bytes": len(body), "status": status}


def ended(function: str, ms: float, init_ms: float | None = None) -> dict[str, Any]:
    return {
        "kind": "invocation_ended",
        "function": function,
        "duration_ms": ms,
        "init_ms": init_ms,
        "memory_size_mb": 1024,
        "log": ["ä" * 37],
    }


def test_each_32_kb_of_a_message_count() -> None:
    minute = Minute()
    long = '{"type":"audio","audio":"' + "A" * 32_768
    minute.note([message('{"type":"ping"}'), post('{"type":"pong"}'), post(long), post("x", 410)])
    assert minute.received == {"ping": 1}
    assert minute.sent == {"pong": 1, "audio": 2}, "what was not delivered costs nothing"
    assert minute.sent_bytes == len(long) + 15


def test_a_connection_is_charged_for_its_minutes() -> None:
    minute = Minute()
    minute.note(
        [
            {"kind": "connected", "connection_id": "a", "at_ms": 1_000},
            {"kind": "disconnected", "connection_id": "a", "at_ms": 91_000},
        ]
    )
    assert minute.connected_ms == 90_000


def test_begun_milliseconds_count_and_cold_starts_apart() -> None:
    minute = Minute()
    minute.note([ended("TurnFunction", 10.2, init_ms=500.0), ended("TurnFunction", 4.0)])
    use = minute.functions["TurnFunction"]
    assert (use.requests, use.wall_ms, use.init_ms, use.cold) == (2, 15, 500.0, 1)
    assert use.log_bytes == 2 * (74 + prices.LOG_EVENT_BYTES)
    assert use.usd == pytest.approx(0.015 * 0.0000133334)
    assert use.init_usd == pytest.approx(0.5 * 0.0000133334)


@pytest.mark.parametrize(
    ("memory_mb", "billed_ms"), [(1769, 100), (3538, 100), (1024, 114.55), (442, 160.05)]
)
def test_what_is_computed_takes_as_much_longer_as_the_share_is_smaller(
    memory_mb: int, billed_ms: float
) -> None:
    assert lambda_ms(100, 20, memory_mb) == pytest.approx(billed_ms, abs=0.05)


def bill_of(**units: int) -> Minute:
    functions = {"TurnFunction": FunctionUse(1024, 5, 40_000.0), "Quiet": FunctionUse(512, 9, 0)}
    minute = Minute(functions=functions, traced=frozenset(["TurnFunction"]))
    minute.table = TableBill()
    minute.table.writes["TurnFunction", "history", "PutItem"] = units.get("writes", 0)
    minute.table.reads["TurnFunction", "history", "Query"] = units.get("reads", 0)
    return minute


def test_the_sum_is_of_all_rows() -> None:
    bill = rows(bill_of(writes=1_000, reads=800), init_usd=0.00005)
    usd = {row.what: row.usd for row in bill}
    assert usd["DynamoDB write units"] == pytest.approx(0.000625)
    assert usd["DynamoDB read units"] == pytest.approx(0.0001)
    assert usd["turn function"] == pytest.approx(40 * 0.0000133334)
    assert usd["Lambda requests"] == pytest.approx(14 * 0.20 / 1e6)
    assert usd["cold starts"] == pytest.approx(0.00001)
    assert usd["traces"] == pytest.approx(5 * 0.05 * 5 / 1e6)
    assert f"| **sum** | | | **{sum(usd.values()):.4f}** |" in markdown(bill)


def test_the_minute_of_the_median_sum_is_shown() -> None:
    minutes = [bill_of(writes=n) for n in (500, 100, 300)]
    chosen, sums = middle(minutes, 0.0)
    assert chosen is minutes[2]
    assert sums == sorted(sums)
    assert sums[2] - sums[0] == pytest.approx(400 * 0.625 / 1e6)


def test_functions_that_begin_no_traces_are_known() -> None:
    traced = traced_functions(ROOT)
    assert "TurnFunction" in traced
    assert "MessageFunction" not in traced
    assert traced < set(function_ids(ROOT))


def test_the_docs_have_a_sum_and_the_prices() -> None:
    assert 0.0001 < aws_minute_usd() < 0.01
    costs = COSTS.read_text()
    assert prices.price_table() in costs, "run python -m benchmarks.aws_prices"
    assert costs.count(BEGIN) == costs.count(END) == 1
