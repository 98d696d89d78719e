"""What was heard of a reply: the protocol's own rule, so that both sides say the same
(docs/protocol.md, "What was heard")."""

from __future__ import annotations

from collections.abc import Iterable

from parley_client.messages import Word

SEARCHED_CHARS = 40
"""How far behind its place a word is looked for: it may have been spoken in other words."""


def heard_text(text: str, words: Iterable[Word], played_ms: float) -> str:
    """Return the reply's text up to the last word whose sound had ended.

    Half a word counts as nothing.

    Args:
        text: the reply's text.
        words: those of its audio, in order.
        played_ms: how much of its audio has been heard.
    """
    end = 0
    for word in words:
        if word.end_ms > played_ms:
            break
        place = end
        while text[place : place + 1].isspace():
            place += 1
        found = text.find(word.text, end, place + SEARCHED_CHARS + len(word.text))
        end = found + len(word.text) if found >= 0 else end
    return text[:end]
