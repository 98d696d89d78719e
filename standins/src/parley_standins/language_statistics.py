"""Makes `common_words.txt` and `word_pairs.txt` from PocketSphinx's own language model.

A tool for whoever changes them (`python -m parley_standins.language_statistics`, 20 s);
nothing runs it otherwise. The model that comes with PocketSphinx (BSD licence) knows
20,000 words and is slow to search; of it, the commonest words are kept, and of their
pairs those whose probability differs most from that of their words.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path

import pocketsphinx

from parley_standins.language_model import COMMON_WORDS, END, START, WORD_PAIRS

WORDS = 4000
FIRST_WORDS = 1500
SECOND_WORDS = 3000
PAIRS = 30_000
MIN_GAIN = 0.3
"""In natural logarithms, over what the single words make likely."""

LOG_BASE = math.log(1.0001)
"""PocketSphinx's logarithms."""

# Not what a demonstration should be made to hear.
_LEFT_OUT = frozenset(["fuck", "fucking", "shit", "damn", "bitch", "ass", "sex", "sexual", "rape"])
_WORD = re.compile(r"[a-z']+")


def main() -> None:
    """Write both files."""
    model = pocketsphinx.NGramModel.readfile(pocketsphinx.get_model_path("en-us/en-us.lm.bin"))
    dictionary = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict")).read_text()
    known = {line.split(" ", 1)[0] for line in dictionary.splitlines()}
    single = {
        word: model.prob([word]) * LOG_BASE
        for word in known
        if _WORD.fullmatch(word) and word not in _LEFT_OUT
    }
    words = sorted(single, key=lambda word: -single[word])[:WORDS]
    COMMON_WORDS.write_text("".join(f"{w} {_score(single[w])}\n" for w in words))
    single |= {START: -2.5, END: model.prob([END]) * LOG_BASE}
    pairs: list[tuple[float, str, str, float]] = []
    for first in (START, *words[:FIRST_WORDS]):
        row = {w: model.prob([w, first]) * LOG_BASE for w in (*words[:SECOND_WORDS], END)}
        # Most pairs were never seen: what they differ by from the words is the back-off.
        differences = sorted(value - single[word] for word, value in row.items())
        backoff = differences[len(differences) // 2]
        for second, value in row.items():
            gain = value - single[second] - backoff
            if gain > MIN_GAIN:
                pairs.append((math.exp(single[first] + value) * gain, first, second, value))
    kept: defaultdict[str, list[str]] = defaultdict(list)
    for _, first, second, value in sorted(pairs, reverse=True)[:PAIRS]:
        kept[first].append(f"{second} {_score(value)}")
    WORD_PAIRS.write_text("".join(f"{f} {' '.join(s)}\n" for f, s in sorted(kept.items())))


def _score(natural: float) -> int:
    """Return hundredths of a negative decimal logarithm: what the files hold."""
    return round(-100 * natural / math.log(10))


if __name__ == "__main__":
    main()
