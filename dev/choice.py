"""Looks at who is to speak, to reply and to listen, before anything is installed for it.

    python -m dev.choice VOICE=cartesia MIND=n8n EARS=whisper STANDINS=small

It needs the standard library alone, and knows the providers from the template.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.steps import wrap

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
SETTINGS = {"VOICE": "Synthesizer", "MIND": "Responder", "EARS": "Transcriber"}
"""What `make run` is told, and the template's parameters for it."""
PAIR = "STANDINS"
PAIRS = ("natural", "small")
"""Which stand-ins speak and hear: hibari and Moonshine, or espeak-ng and PocketSphinx."""


class ChoiceRefused(Exception):
    """There is no such provider; says which there are."""


def allowed(parameter: str) -> list[str]:
    """Return the providers that a parameter of the template may have."""
    declared = rf"^  {parameter}:\n(?:    .*\n)*?    AllowedValues: \[(.*)\]$"
    found = re.search(declared, TEMPLATE.read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{TEMPLATE} does not say what {parameter} may be")
    return found[1].split(", ")


def check_choice(chosen: Mapping[str, str]) -> None:
    """Make sure that these names exist; an empty one is the usual one.

    Raises:
        ChoiceRefused: there are none.
    """
    for setting, name in chosen.items():
        names = PAIRS if setting == PAIR else allowed(SETTINGS[setting])
        if name and name not in names:
            raise ChoiceRefused(
                f"{setting}: expected {', '.join(names[:-1])} or {names[-1]}; got {name}."
            )


def main(arguments: Sequence[str]) -> int:
    """Look at them; returns the exit code."""
    try:
        check_choice(dict(each.split("=", 1) for each in arguments))
    except ChoiceRefused as refusal:
        print(wrap(str(refusal)), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
