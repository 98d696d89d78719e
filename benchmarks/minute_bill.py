"""What AWS charges for a minute of talk, from what was seen to happen in it.

Plain objects: `benchmarks/cost.py` fills them from the local stack, and prints them.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks import aws_prices as prices
from benchmarks.aws_prices import AwsPrice
from benchmarks.billed_table import TableBill

CONVERSATION_MINUTES = 5
"""Of a conversation that meets functions that nobody has called for a while: so many minutes share
its cold starts. Where others talk at the same time there are fewer."""


def message_units(size_bytes: int) -> int:
    """Return as how many messages API Gateway counts one."""
    return max(1, math.ceil(size_bytes / prices.MESSAGE_UNIT_BYTES))


def lambda_ms(wall_ms: float, cpu_ms: float, memory_mb: int) -> float:
    """Return how long something takes in a function that takes `wall_ms` here.

    What it waits for takes as long. What it computes takes longer, by the share of a processor
    that its memory buys: with 1,769 MB it has one.

    Args:
        cpu_ms: of `wall_ms`, or in parallel with waiting: then too much is charged.
    """
    share = min(1.0, memory_mb / prices.VCPU_MB)
    return wall_ms + cpu_ms * (1 / share - 1)


@dataclass
class FunctionUse:
    """What one function did.

    Attributes:
        wall_ms: of its invocations, by their reports, without initialisation.
        cpu_ms: of its processes in this time.
        init_ms: of its cold starts.
    """

    memory_mb: int = 0
    requests: int = 0
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    init_ms: float = 0.0
    cold: int = 0
    log_bytes: int = 0

    @property
    def billed_ms(self) -> float:
        """Milliseconds that Lambda charges, without initialisation."""
        return lambda_ms(self.wall_ms, self.cpu_ms, self.memory_mb)

    @property
    def usd(self) -> float:
        """What they cost."""
        return self.billed_ms / 1000 * self.memory_mb / 1024 * prices.GB_SECOND.each

    @property
    def init_usd(self) -> float:
        """What its cold starts cost. Lambda lets them have a whole processor."""
        return self.init_ms / 1000 * self.memory_mb / 1024 * prices.GB_SECOND.each


@dataclass
class Minute:
    """What was seen in one minute of talk.

    Attributes:
        received, sent: units of 32 KB, by the type of message.
        sent_bytes: to the client.
        traced: the functions that begin traces.
    """

    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    connected_ms: int = 0
    functions: dict[str, FunctionUse] = field(default_factory=dict)
    table: TableBill = field(default_factory=TableBill)
    traced: frozenset[str] = frozenset()

    def note(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take what samwire's journal says of the minute into account."""
        opened: dict[str, int] = {}
        for entry in entries:
            kind = entry["kind"]
            if kind == "message":
                self.received[_type(entry)] += message_units(entry["bytes"])
            elif kind == "answer" or (kind == "post_connection" and entry["status"] == 200):
                self.sent[_type(entry)] += message_units(entry["bytes"])
                self.sent_bytes += entry["bytes"]
            elif kind == "connected":
                opened[entry["connection_id"]] = entry["at_ms"]
            elif kind == "disconnected":
                began_ms = opened.pop(entry["connection_id"], entry["at_ms"])
                self.connected_ms += entry["at_ms"] - began_ms
            elif kind == "invocation_ended":
                self._invoked(entry)

    def _invoked(self, entry: Mapping[str, Any]) -> None:
        use = self.functions.setdefault(entry["function"], FunctionUse())
        use.memory_mb = entry["memory_size_mb"]
        use.requests += 1
        use.wall_ms += math.ceil(entry["duration_ms"])
        if entry["init_ms"]:
            use.init_ms += entry["init_ms"]
            use.cold += 1
        lines = entry["log"]
        use.log_bytes += sum(len(line.encode()) + prices.LOG_EVENT_BYTES for line in lines)


def _type(entry: Mapping[str, Any]) -> str:
    """Return the type of a message; a long one is not kept whole."""
    body = str(entry["body"])
    try:
        found = json.loads(body)
    except ValueError:
        _, _, rest = body.partition('"type":"')
        return rest.partition('"')[0] or "other"
    return str(found.get("type", "error")) if isinstance(found, dict) else "other"


@dataclass(frozen=True, slots=True)
class Row:
    """One item of the bill."""

    what: str
    count: str
    price: AwsPrice
    usd: float


def rows(minute: Minute, init_usd: float) -> list[Row]:
    """Return the bill of a minute.

    Args:
        init_usd: of the cold starts of a conversation.
    """
    received, sent = minute.received, minute.sent
    found = [
        Row("API Gateway messages in", _listed(received), prices.MESSAGE,
            received.total() * prices.MESSAGE.each),
        Row("API Gateway messages out", _listed(sent), prices.MESSAGE,
            sent.total() * prices.MESSAGE.each),
        Row("connection minutes", f"{minute.connected_ms / 60_000:.2f}", prices.CONNECTION_MINUTE,
            minute.connected_ms / 60_000 * prices.CONNECTION_MINUTE.each),
    ]  # fmt: skip
    requests = {name: use.requests for name, use in minute.functions.items()}
    total = sum(requests.values())
    found.append(
        Row("Lambda requests", _listed(Counter(requests)), prices.INVOCATION,
            total * prices.INVOCATION.each)
    )  # fmt: skip
    for name, use in sorted(minute.functions.items(), key=lambda each: -each[1].usd):
        mean_ms, gb = use.billed_ms / use.requests, use.memory_mb / 1024
        count = f"{use.requests} × {_span(mean_ms)} × {gb:g} GB"
        found.append(Row(_words(name), count, prices.GB_SECOND, use.usd))
    found.append(
        Row("cold starts", f"of a conversation, over {CONVERSATION_MINUTES} minutes",
            prices.GB_SECOND, init_usd / CONVERSATION_MINUTES)
    )  # fmt: skip
    writes, reads = by_kind(minute.table.writes), by_kind(minute.table.reads)
    found += [
        Row("DynamoDB write units", _listed(writes), prices.WRITE_UNIT,
            sum(writes.values()) * prices.WRITE_UNIT.each),
        Row("DynamoDB read units", _listed(reads), prices.READ_UNIT,
            sum(reads.values()) * prices.READ_UNIT.each),
    ]  # fmt: skip
    log_bytes = sum(use.log_bytes for use in minute.functions.values())
    asked = sum(use.requests for name, use in minute.functions.items() if name in minute.traced)
    traces = asked * prices.TRACED_SHARE
    found += [
        Row("logs", f"{log_bytes / 1000:.0f} KB", prices.LOG_BYTE,
            log_bytes * prices.LOG_BYTE.each),
        Row("traces", f"{prices.TRACED_SHARE:.0%} of {asked} requests", prices.TRACE,
            traces * prices.TRACE.each),
        Row("data out", f"{minute.sent_bytes / 1e6:.2f} MB", prices.SENT_BYTE,
            minute.sent_bytes * prices.SENT_BYTE.each),
    ]  # fmt: skip
    return found


def by_kind(used: Mapping[tuple[str, str, str], float]) -> Counter[str]:
    """Return units by kind of item."""
    found: Counter[str] = Counter()
    for (_, kind, _), units in used.items():
        found[kind] += units  # type: ignore[assignment]  # halves, where a read is not consistent
    return found


def markdown(bill: Sequence[Row]) -> str:
    """Return the bill as the table of docs/costs.md."""
    lines = ["| what | how much | price | USD |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.what} | {r.count} | {r.price.shown} | {_usd(r.usd)} |" for r in bill]
    total = sum(row.usd for row in bill)
    lines.append(f"| **sum** | | | **{total:.4f}** |")
    return "\n".join(lines)


def detail(minute: Minute) -> str:
    """Return what the table was asked for, by function and kind, the costliest first."""
    costs: dict[tuple[str, str, str], float] = {}
    for used, price in (
        (minute.table.writes, prices.WRITE_UNIT),
        (minute.table.reads, prices.READ_UNIT),
    ):
        for at, units in used.items():
            costs[at] = units * price.each
    lines = ["| function | item | operation | calls | units | USD |", "|" + " --- |" * 6]
    for at in sorted(costs, key=lambda each: -costs[each]):
        units = minute.table.writes[at] + minute.table.reads[at]
        row = " | ".join((_words(at[0]), at[1], at[2]))
        calls = minute.table.calls[at]
        lines.append(f"| {row} | {calls} | {units:g} | {_usd(costs[at])} |")
    for name, use in minute.functions.items():
        lines.append(
            f"{_words(name)}: {use.requests} requests, {use.wall_ms:.0f} ms here of which "
            f"{use.cpu_ms:.0f} ms CPU, {use.billed_ms:.0f} ms billed, {use.cold} cold, "
            f"{use.log_bytes} bytes of log"
        )
    return "\n".join(lines)


def middle(minutes: Sequence[Minute], init_usd: float) -> tuple[Minute, list[float]]:
    """Return the minute of the median sum, and all sums."""
    sums = {
        index: sum(row.usd for row in rows(each, init_usd)) for index, each in enumerate(minutes)
    }
    median = statistics.median_low(sums.values())
    chosen = next(index for index, usd in sums.items() if usd == median)
    return minutes[chosen], sorted(sums.values())


def _listed(counts: Mapping[str, float]) -> str:
    ordered = sorted(counts.items(), key=lambda each: -each[1])
    return " + ".join(f"{count:g} {_words(name)}" for name, count in ordered)


def _words(name: str) -> str:
    """Return `TurnFunction` as "turn function"."""
    if not name.endswith("Function"):
        return name
    return f"{name.removesuffix('Function').lower()} function"


def _span(ms: float) -> str:
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def _usd(usd: float) -> str:
    return f"{usd:.5f}" if usd >= 0.000005 else f"{usd:.7f}"
