"""What a soak does and what goes wrong in it, drawn from a seed. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.chaos.tool_plan import Focus, ToolsPlan, plan_tools

FAULTY_SHARE = 0.6
"""Of the turns that have a fault of their own; what the gateway does to others comes on top."""
SPOKEN_SHARE = 0.2
SPOKEN = ("What time is it?", "How many days are in a week?", "Good morning.")
_SYLLABLES = ("ba", "ko", "ri", "lu", "me", "ta", "so", "ni", "du", "pa", "ge", "fo")
PROVIDER_SHARE = 0.3
"""Of the turns that lose their connection, those in which a provider fails too."""
_PROVIDER_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("llm", {"status": 500}),
    ("llm", {"status": 429}),
    ("llm", {"refuse": True}),
    ("llm", {"stall": "before"}),
    ("llm", {"cut": 3}),
    ("tts", {"status": 500}),
    ("tts", {"refuse": True}),
    ("tts", {"stall": "before"}),
    ("tts", {"cut": 1}),
    ("stt", {"status": 500}),
    ("stt", {"cut": 1}),
)
_BREAK_OFF = tuple(("tts", {"cut": pieces}) for pieces in (1, 1, 2, 3))
"""What only another vendor mends: a voice that breaks off in mid-reply."""
SECOND_PROVIDERS = {
    "FallbackTranscriber": "cartesia",
    "FallbackResponder": "openai_chat",
    "FallbackSynthesizer": "cartesia",
    "FallbackVoiceId": "a0e99841-438c-4a64-b679-ae501e7d6091",
}
"""Who takes over. The chat's stand-in is its own second: its faults hit one request each."""


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """One turn.

    Attributes:
        text: what is said; typed, or spoken.
        cut_after: how many of its events arrive before its connection is lost; None if it is not.
        silent: whether it is not cut then but carries nothing any more, and neither end is told.
        cut_again: whether the next connection is cut too, right after it opened.
        away_s: how long nothing can connect after a cut.
        provider: the provider that fails once during it, and how.
        interrupt_after: how many audio events arrive before the user interrupts.
        tools: what it calls; None if nothing.
    """

    text: str
    spoken: bool = False
    cut_after: int | None = None
    silent: bool = False
    cut_again: bool = False
    away_s: float = 0.0
    provider: tuple[str, dict[str, Any]] | None = None
    interrupt_after: int | None = None
    tools: ToolsPlan | None = None


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """A whole soak.

    Attributes:
        sessions: the turns of each session.
        gateway: the local gateway's own faults, as `PUT /_local/faults` takes them.
    """

    seed: int
    sessions: list[list[TurnPlan]] = field(default_factory=list)
    gateway: dict[str, Any] = field(default_factory=dict)
    table: dict[str, Any] = field(default_factory=dict)
    """DynamoDB's own, as moto's server here takes them."""
    failover: bool = False
    """Whether each stage has a second provider."""
    mutation: Focus = ""
    """What is broken in the turns' code, so that the verdict has to be bad."""

    @property
    def has_tools(self) -> bool:
        """Whether any turn calls tools."""
        return any(turn.tools is not None for turns in self.sessions for turn in turns)


def planned(
    seed: int, turns: int, sessions: int, *, failover: bool = False, tools: float = 0.0
) -> SoakPlan:
    """A soak of so many turns in so many sessions at once; equal seeds give equal plans.

    Args:
        failover: each stage has a second provider, and the first ones fail more often.
        tools: the share of the turns that call tools.
    """
    random, of_tools = Random(seed), Random(f"{seed}/tools")
    shares = [turns // sessions + (n < turns % sessions) for n in range(sessions)]
    found = [[_turn(random, failover=failover) for _ in range(share)] for share in shares]
    if tools:
        found = [
            [_calling(of_tools, turn, tools, f"n-{at}-{n}") for n, turn in enumerate(session)]
            for at, session in enumerate(found)
        ]
    of_rounds = [_throttling(seed, "TransactWriteItems") | {"probability": 0.1}] if tools else []
    operations = ("PutItem", "Query", "UpdateItem")
    return SoakPlan(
        seed,
        found,
        {"seed": seed, "faults": _gateway_faults() + (_tool_faults() if tools else [])},
        {"throttling": [*(_throttling(seed, name) for name in operations), *of_rounds]},
        failover,
    )


def planned_mistake(seed: int, turns: int, sessions: int, focus: Focus, *, made: bool) -> SoakPlan:
    """A soak in which nothing goes wrong but what shows one mistake in the turns' code.

    Args:
        made: whether it is made; without it the soak has to be good.
    """
    random = Random(seed)
    found = [
        [
            _calling_tools(TurnPlan(""), plan_tools(random, f"n-{at}-{n}", focus))
            for n in range(turns // sessions)
        ]
        for at in range(sessions)
    ]
    mutation = focus if made else ""
    return SoakPlan(seed, found, {"faults": []}, {"throttling": []}, mutation=mutation)


def _calling(random: Random, turn: TurnPlan, share: float, nonce: str) -> TurnPlan:
    if random.random() >= share:
        return turn
    tools = plan_tools(random, nonce)
    after = turn.interrupt_after if tools.interrupt_ms is None else None
    return _calling_tools(replace(turn, interrupt_after=after), tools)


def _calling_tools(turn: TurnPlan, tools: ToolsPlan) -> TurnPlan:
    return replace(turn, text=tools.text, spoken=False, tools=tools)


def _throttling(seed: int, operation: str) -> dict[str, Any]:
    return {"operation": operation, "probability": 0.01, "seed": seed}


def _turn(random: Random, *, failover: bool) -> TurnPlan:
    spoken = random.random() < SPOKEN_SHARE
    text = random.choice(SPOKEN) if spoken else _sentence(random)
    interrupt = random.randint(1, 3) if random.random() < 0.1 else None
    if random.random() >= FAULTY_SHARE:
        return TurnPlan(text, spoken, interrupt_after=interrupt)
    cut = random.random() < (0.3 if failover else 0.6)
    faults = _PROVIDER_FAULTS + _BREAK_OFF * 2 if failover else _PROVIDER_FAULTS
    silent = cut and random.random() < 0.15
    provider = random.choice(faults) if not cut or random.random() < PROVIDER_SHARE else None
    return TurnPlan(
        text,
        spoken,
        cut_after=random.randint(0, 6) if cut else None,
        silent=silent,
        cut_again=cut and not silent and random.random() < 0.2,
        away_s=random.choice((0.0, 0.0, 0.3, 2.5)) if cut and not silent else 0.0,
        provider=provider,
        interrupt_after=interrupt,
    )


def _sentence(random: Random) -> str:
    """Something that nobody has said before: the reply to it is like no other."""
    words = ["".join(random.choices(_SYLLABLES, k=random.randint(1, 3))) for _ in range(12)]
    words[3] += ","
    words[7] += "."
    return f"Repeat after me: {' '.join(words)}."


def _gateway_faults() -> list[dict[str, Any]]:
    return [
        {"kind": "delay_message", "rate": 0.05, "delay_ms": 20, "jitter_ms": 200},
        {"kind": "duplicate_message", "rate": 0.05},
        {"kind": "reorder_message", "rate": 0.05, "hold_ms": 300},
        {"kind": "drop_connection", "on": "message", "rate": 0.005},
        {"kind": "drop_connection", "on": "post", "rate": 0.004},
        {"kind": "fail_post", "status": 429, "rate": 0.01},
        {"kind": "fail_post", "status": 500, "rate": 0.01},
        {"kind": "delay_post", "rate": 0.02, "delay_ms": 10, "jitter_ms": 150},
        {"kind": "kill_function", "function": "TurnFunction", "rate": 0.04, "jitter_ms": 600},
        {"kind": "kill_function", "function": "MessageFunction", "rate": 0.003},
        {"kind": "throttle_function", "function": "TurnFunction", "rate": 0.03},
    ]


def _tool_faults() -> list[dict[str, Any]]:
    tool = {"function": "ToolLedgerFunction"}
    return [
        {"kind": "kill_function", **tool, "rate": 0.04, "jitter_ms": 900},
        {"kind": "throttle_function", **tool, "rate": 0.05},
    ]
