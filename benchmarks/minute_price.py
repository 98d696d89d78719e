"""What one minute of talk costs with each provider, and with four typical combinations.

Not a measurement: quantities are those of a usual minute, prices are from the lists of their
sellers. It writes the tables of docs/costs.md.

    python benchmarks/minute_price.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COSTS = ROOT / "docs" / "costs.md"
TURNS = 5
LISTENED_S, SPOKEN_S = 30, 30
"""Of the user's speech, and of replies, in one minute of talk."""
CHARS_PER_S = 15
CHARS_PER_TOKEN = 4
INSTRUCTION_TOKENS = 100
EXCHANGES = 20
"""How many earlier turns a model is given with each turn: the 40 messages of HistoryMessages."""
TEN_S = 10


@dataclass(frozen=True, slots=True)
class Price:
    """What a seller asks for.

    Attributes:
        usd: for one unit.
        unit: `1,000 characters`, `minute`, `hour`, or `million tokens`, in and out.
        source: the page.
        read: when, and whose page it is.
        output_usd: of what a model writes, for a million tokens.
        least_s: audio that is billed of an utterance however short it is.
    """

    what: str
    usd: float
    unit: str
    source: str
    read: str
    output_usd: float = 0.0
    least_s: float = 0.0

    @property
    def minute_usd(self) -> float:
        """What one minute of talk costs."""
        if self.unit == "1,000 characters":
            return SPOKEN_S * CHARS_PER_S / 1000 * self.usd
        if self.unit == "million tokens":
            return (self.usd * _tokens_in() + self.output_usd * _tokens_out()) / 1e6
        listened_s = TURNS * max(self.least_s, LISTENED_S / TURNS)
        return listened_s * self.usd / {"minute": 60, "hour": 3600}[self.unit]

    @property
    def shown(self) -> str:
        """The price as its seller writes it."""
        if self.unit == "million tokens":
            return f"${self.usd:.2f} in, ${self.output_usd:.2f} out a million tokens"
        least = f", at least {self.least_s:g} s each" if self.least_s else ""
        digits = f"{self.usd:.4f}".rstrip("0")
        per = {"hour": "an hour", "minute": "a minute"}.get(self.unit, f"for {self.unit}")
        return f"${digits if len(digits) > 4 else f'{self.usd:.2f}'} {per}{least}"


def _tokens_in() -> float:
    """What a model reads in one minute: with each turn the instructions, the history and what the
    user says."""
    said = LISTENED_S * CHARS_PER_S / TURNS / CHARS_PER_TOKEN
    replied = SPOKEN_S * CHARS_PER_S / TURNS / CHARS_PER_TOKEN
    return TURNS * (INSTRUCTION_TOKENS + EXCHANGES * (said + replied) + said)


def _tokens_out() -> float:
    return SPOKEN_S * CHARS_PER_S / CHARS_PER_TOKEN


_CARTESIA_CREDIT = 49 / 1_250_000
"""USD: the plan Startup is $49 for 1,250,000 credits a month."""
SCRIBE = Price(
    "ElevenLabs Scribe v2 Realtime", 0.39, "hour", "https://elevenlabs.io/pricing/api",
    "June 2026, by others",
)  # fmt: skip
FLASH = Price(
    "ElevenLabs Flash v2.5", 0.04, "1,000 characters", "https://elevenlabs.io/pricing/api",
    "September 2026, by others; $0.05 until June",
)  # fmt: skip
INK = Price(
    "Cartesia ink-2", 3 * 60 * _CARTESIA_CREDIT, "minute", "https://docs.cartesia.ai/pricing",
    "2026: 3 credits a second; of the plan Startup, June 2026, by others",
)  # fmt: skip
SONIC = Price(
    "Cartesia Sonic", 1000 * _CARTESIA_CREDIT, "1,000 characters",
    "https://docs.cartesia.ai/pricing",
    "2026: a credit a character; of the plan Startup, June 2026, by others",
)  # fmt: skip
FLUX = Price(
    "Deepgram Flux, English", 0.0065, "minute", "https://deepgram.com/pricing",
    "June 2026, by others",
)  # fmt: skip
FLUX_MULTI = Price(
    "Deepgram Flux, ten languages", 0.0078, "minute", "https://deepgram.com/pricing",
    "November 2026, by others",
)  # fmt: skip
GPT_TRANSCRIBE = Price(
    "OpenAI gpt-transcribe", 0.0045, "minute",
    "https://developers.openai.com/api/docs/models/gpt-transcribe", "2026",
)  # fmt: skip
GROQ_WHISPER = Price(
    "Groq whisper-large-v3-turbo", 0.04, "hour", "https://groq.com/pricing",
    "May 2026, by others", least_s=TEN_S,
)  # fmt: skip
LUNA = Price(
    "OpenAI gpt-6-luna", 0.10, "million tokens",
    "https://developers.openai.com/api/docs/models/gpt-6-luna", "2026", output_usd=0.50,
)  # fmt: skip
HAIKU = Price(
    "Claude Haiku 5.5", 0.10, "million tokens",
    "https://platform.claude.com/docs/en/about-claude/pricing", "October 2026, by others",
    output_usd=0.50,
)  # fmt: skip
PRICES = (SCRIBE, INK, FLUX, FLUX_MULTI, GPT_TRANSCRIBE, GROQ_WHISPER, LUNA, HAIKU, FLASH, SONIC)


@dataclass(frozen=True, slots=True)
class Typical:
    """A combination that people use.

    Attributes:
        prices: of who transcribes, replies and speaks.
    """

    name: str
    prices: Sequence[Price]


TYPICAL = (
    Typical("ElevenLabs with ChatGPT", (SCRIBE, LUNA, FLASH)),
    Typical("Cartesia with n8n, whose agent asks gpt-6-luna", (INK, LUNA, SONIC)),
    Typical("Whisper at Groq, Claude, ElevenLabs", (GROQ_WHISPER, HAIKU, FLASH)),
    Typical("Deepgram, Claude, Cartesia", (FLUX, HAIKU, SONIC)),
)


def aws_minute_usd() -> float:
    """What AWS adds, by the table of docs/costs.md."""
    found = re.search(r"\| \*\*sum\*\* \| \| \| \*\*([\d.]+)\*\* \|", COSTS.read_text())
    if found is None:
        raise LookupError(f"{COSTS} has no sum of what AWS adds")
    return float(found[1])


def price_table() -> str:
    """Return every price, as a Markdown table."""
    lines = [
        "| provider | price | USD a minute of talk | as of |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| [{each.what}]({each.source}) | {each.shown} | {each.minute_usd:.4f} | {each.read} |"
        for each in PRICES
    ]
    return "\n".join(lines)


def minute_table() -> str:
    """Return the whole price of a minute with each combination, as a Markdown table."""
    aws = aws_minute_usd()
    lines = [
        "| USD a minute | transcriber | model | voice | AWS | **sum** | an hour |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in TYPICAL:
        parts = [*(price.minute_usd for price in each.prices), aws]
        columns = " | ".join(f"{part:.4f}" for part in parts)
        total = sum(parts)
        lines.append(f"| {each.name} | {columns} | **{total:.4f}** | {60 * total:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print them."""
    sys.stdout.write(f"{price_table()}\n\n{minute_table()}\n")


if __name__ == "__main__":
    main()
