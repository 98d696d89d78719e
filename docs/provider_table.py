"""Write what docs/providers.md has in tables: what each provider can do, costs and needs, with its
trap, and what a deployment refuses.

`python -m docs.provider_table` writes it. `--check` reports whether it is current, and writes
nothing. What a provider can do and needs is the registry's word; prices are those of
`benchmarks.minute_price`; refusals are the template's rules; the rest is said here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmarks.minute_price import FLASH, FLUX, GPT_TRANSCRIBE, HAIKU, INK, LUNA, SCRIBE, SONIC
from parley.protocol.messages import AudioFormat, Endpointing, Stage
from parley.providers.registry import (
    STAGES,
    Entry,
    ResponderEntry,
    SynthesizerEntry,
    TranscriberEntry,
)
from samwire.template.loader import load_template

PAGE = Path(__file__).parent / "providers.md"
TEMPLATE = PAGE.parent.parent / "template.yaml"
OTHER_RULES = ("DefaultEndpoint", "OidcNeedsAnIssuerAndAnAudience")
"""Rules of the template that are about other things than providers."""
_TITLES: Mapping[Stage, str] = {
    "transcriber": "`Transcriber`",
    "responder": "`Responder`",
    "synthesizer": "`Synthesizer`",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the registry does not say of a provider.

    Attributes:
        can: besides what the registry says.
        minute_usd: of a minute of talk; None if its owner pays otherwise.
        cost: in place of that.
        parameters: besides those that it needs.
        trap: what people fall into.
    """

    can: str
    trap: str
    minute_usd: float | None = None
    cost: str = ""
    parameters: str = ""


FACTS: Mapping[tuple[Stage, str], Facts] = {
    ("transcriber", "elevenlabs"): Facts(
        "partials, over 90 languages",
        "a restricted key needs the permissions for speech to text and for text to speech",
        SCRIBE.minute_usd,
        parameters="`TranscriptionModel`",
    ),
    ("transcriber", "cartesia"): Facts(
        "partials; `ink-2` hears en, es, fr, hi and ja, `ink-whisper` the others, and hands free "
        "`ink-preview` does",
        "a model that does not hear `Language` is refused: leave `TranscriptionModel` empty, and "
        "the one for the language is taken",
        INK.minute_usd,
        parameters="`TranscriptionModel`",
    ),
    ("transcriber", "deepgram"): Facts(
        "partials; Flux hears English, or ten languages",
        "another language is refused when the functions start",
        FLUX.minute_usd,
        parameters="`TranscriptionModel`",
    ),
    ("transcriber", "whisper"): Facts(
        "no partials; about 100 languages",
        "the transcript comes after the utterance: the first sound is later by its upload; a model "
        "invents words for silence, so silence is not sent",
        GPT_TRANSCRIBE.minute_usd,
        parameters="`TranscriptionBaseUrl`, `TranscriptionModel`, `TranscriptionApiKey`",
    ),
    ("responder", "openai_chat"): Facts(
        "any endpoint of OpenAI's Chat Completions",
        "newer models think before they speak, unless `ReasoningEffort` is `none`; OpenAI's "
        "GPT-5.x take tools with no other effort",
        LUNA.minute_usd,
        parameters="`LlmApiKey`, `LlmBaseUrl`, `LlmModel`, `ReasoningEffort`",
    ),
    ("responder", "openai_chat_bedrock"): Facts(
        "open models on Bedrock, without a stored key",
        "not Claude, Nova or Llama: those are at other doors of Bedrock",
        cost="as the model",
        parameters="`LlmModel`, `LlmBaseUrl`, `ReasoningEffort`",
    ),
    ("responder", "anthropic"): Facts(
        "Claude at Anthropic",
        "a model that always thinks starts to speak late",
        HAIKU.minute_usd,
        parameters="`LlmModel`, `LlmBaseUrl`, `ReasoningEffort`",
    ),
    ("responder", "anthropic_bedrock"): Facts(
        "Claude on Bedrock, without a stored key",
        "the account must have access to the model, in the stack's region",
        HAIKU.minute_usd,
        parameters="`LlmModel`, `LlmBaseUrl`, `ReasoningEffort`",
    ),
    ("responder", "n8n"): Facts(
        "a workflow with its own memory and tools; it is asked once, never again",
        "without streaming in trigger and agent the whole answer comes at once, seconds later",
        cost="n8n's, and its model's",
        parameters="`N8nHeaderName`, `N8nHeaderValue`",
    ),
    ("synthesizer", "elevenlabs"): Facts(
        "over 30 languages",
        "`VoiceId` must be of the account; a cloned voice may need a plan",
        FLASH.minute_usd,
        parameters="`VoiceId`, `SpeechModel`, `VoiceStability`",
    ),
    ("synthesizer", "cartesia"): Facts(
        "42 languages",
        "a plan's number of contexts at once bounds how many people hear a reply at once",
        SONIC.minute_usd,
        parameters="`VoiceId`, `SpeechModel`",
    ),
    ("synthesizer", "openai_speech"): Facts(
        "a request for each clause; languages of the model",
        "OpenAI itself switches `/audio/speech` off on 2027-01-06: use a server of your own",
        cost="its machine",
        parameters="`VoiceId`, `SpeechModel`, `SpeechApiKey`",
    ),
}


def table() -> str:
    """Return the table."""
    lines = ["| | provider | what it can do | USD a minute | parameters | trap |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for stage, entries in STAGES.items():
        for name, entry in entries.items():
            facts = FACTS[stage, name]
            cost = facts.cost if facts.minute_usd is None else f"{facts.minute_usd:.4f}"
            can = "; ".join([facts.can, *_abilities(entry)])
            needs = ", ".join(f"**`{need}`**" for need in entry.needs)
            others = ", ".join(
                each
                for each in facts.parameters.split(", ")
                if each and each.strip("`") not in entry.needs
            )
            parameters = ", ".join(filter(None, (needs, others)))
            lines.append(
                f"| {_TITLES[stage]} | `{name}` | {can} | {cost} | {parameters} | {facts.trap} |"
            )
    return "\n".join(lines)


def _abilities(entry: Entry) -> list[str]:
    """Return what the registry says that a provider can do."""
    if isinstance(entry, TranscriberEntry):
        is_hands_free = set(entry.endpointing) == set(get_args(Endpointing))
        return [
            "hands free" if is_hands_free else f"{' and '.join(entry.endpointing)} ends only",
            *(["says which language it heard"] if entry.detects_language else []),
        ]
    if isinstance(entry, SynthesizerEntry):
        formats = set(entry.formats)
        are_all = formats == set(get_args(AudioFormat))
        slowest, fastest = entry.speed
        return [
            "word times" if entry.has_times else "word times are estimated",
            f"speed {slowest:g} to {fastest:g}",
            *(["stability"] if entry.has_stability else []),
            "every format" if are_all else ", ".join(sorted(formats)),
        ]
    if isinstance(entry, ResponderEntry):
        return ["tools"] if entry.calls_tools else ["none of the deployment's tools"]
    return []


def refusals() -> str:
    """Return the sentences of the template's rules."""
    rules = load_template(TEMPLATE)["Rules"]
    return "\n".join(
        f"- {' '.join(assertion['AssertDescription'].split())}"
        for name, rule in rules.items()
        if name not in OTHER_RULES
        for assertion in rule["Assertions"]
    )


def page(text: str) -> str:
    """Return the page as it is today."""
    for name, content in (("providers", table()), ("refusals", refusals())):
        begin, end = f"<!-- {name}: written by docs/provider_table.py -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    text = PAGE.read_text()
    current = page(text)
    if text == current:
        return 0
    if "--check" in arguments:
        print(f"stale: {PAGE}")
        return 1
    PAGE.write_text(current)
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
