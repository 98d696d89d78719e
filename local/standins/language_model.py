"""The recogniser's language model: a trigram model of everyday talk, in ARPA format.

PocketSphinx's own model was made from broadcasts and telephone calls; "tell me a
story about the sea" is improbable there, and its size makes decoding slow. This one
is counted from `everyday.txt`, with every common English word (`common_words.txt`,
the likeliest first) possible anywhere. It is built when a recogniser starts: 0.1 s.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
PLAIN_WEIGHT = 12
"""How often a sentence without slots is counted; one with a slot counts once per value."""

MAX_SENTENCES = 60
"""A pattern with two slots stands for so many of its sentences."""

GENERAL_SHARE = 0.25
"""Of a word's probability without context, what comes from the list of common words."""

DISCOUNT = 0.5
"""Taken from each count, for what was not seen (absolute discounting)."""

MIN_UNSEEN = 0.2
MAX_UNSEEN = 0.9
"""Bounds of the probability, after any context, of words not seen there."""

_SLOT = re.compile(r"\{(\w+)\}")
_RANK_OFFSET = 10
_START, _END = "<s>", "</s>"

Gram = tuple[str, ...]


def everyday_sentences(source: str) -> list[str]:
    """The sentences that a file of lists and patterns stands for; always the same ones."""
    lists: dict[str, list[str]] = {}
    patterns: list[str] = []
    for line in source.splitlines():
        name, colon, values = line.partition(":")
        if not line or line.startswith("#"):
            continue
        if colon:
            lists[name] = [value.strip() for value in values.split("|")]
        else:
            patterns.append(line)
    return list(itertools.chain.from_iterable(_filled(p, lists) for p in patterns))


def _filled(pattern: str, lists: Mapping[str, Sequence[str]]) -> Iterable[str]:
    slots = _SLOT.findall(pattern)
    if not slots:
        return [pattern] * PLAIN_WEIGHT
    template = _SLOT.sub("{}", pattern)
    made = [template.format(*values) for values in itertools.product(*(lists[s] for s in slots))]
    if len(slots) == 1 or len(made) <= MAX_SENTENCES:
        return made
    return random.Random(pattern).sample(made, MAX_SENTENCES)


def build() -> tuple[str, set[str]]:
    """The model, in ARPA format, and its words."""
    sentences = everyday_sentences((FOLDER / "everyday.txt").read_text())
    common = (FOLDER / "common_words.txt").read_text().split()
    return arpa(sentences, common)


def arpa(sentences: Iterable[str], common: Sequence[str]) -> tuple[str, set[str]]:
    """A trigram model of sentences, and its words."""
    counts: list[Counter[Gram]] = [Counter(), Counter(), Counter()]
    for sentence in sentences:
        words = (_START, *sentence.split(), _END)
        for order, counted in enumerate(counts, 1):
            counted.update(words[i : i + order] for i in range(len(words) - order + 1))
    starts = counts[0].pop((_START,))
    unigrams = _unigrams(counts[0], common)
    bigrams = _interpolated(counts[1], unigrams)
    trigrams = _interpolated(counts[2], bigrams)
    levels = [
        ({(_START,): 1e-99, **unigrams}, _backoffs(bigrams, unigrams)),
        (bigrams, _backoffs(trigrams, bigrams)),
        (trigrams, {}),
    ]
    assert starts
    lines = ["\\data\\"]
    lines += [f"ngram {order}={len(grams)}" for order, (grams, _) in enumerate(levels, 1)]
    for order, (grams, backoffs) in enumerate(levels, 1):
        lines += ["", f"\\{order}-grams:"]
        lines += [_line(gram, grams[gram], backoffs.get(gram)) for gram in sorted(grams)]
    lines += ["", "\\end\\", ""]
    return "\n".join(lines), {gram[0] for gram in unigrams} - {_END}


def _unigrams(counts: Counter[Gram], common: Sequence[str]) -> dict[Gram, float]:
    total = counts.total()
    found = {gram: (1 - GENERAL_SHARE) * count / total for gram, count in counts.items()}
    # Zipf's law: a word's frequency falls with its rank.
    weights = [1 / (rank + _RANK_OFFSET) for rank in range(len(common))]
    share = GENERAL_SHARE / sum(weights)
    for word, weight in zip(common, weights, strict=True):
        found[word,] = found.get((word,), 0.0) + share * weight
    return found


def _interpolated(counts: Counter[Gram], lower: Mapping[Gram, float]) -> dict[Gram, float]:
    totals: Counter[Gram] = Counter()
    kinds: Counter[Gram] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    found: dict[Gram, float] = {}
    for gram, count in counts.items():
        context = gram[:-1]
        unseen = DISCOUNT * kinds[context] / totals[context]
        unseen = min(MAX_UNSEEN, max(MIN_UNSEEN, unseen))
        found[gram] = (1 - unseen) * count / totals[context] + unseen * lower[gram[1:]]
    return found


def _backoffs(grams: Mapping[Gram, float], lower: Mapping[Gram, float]) -> dict[Gram, float]:
    """What the shorter context's probabilities are weighted with, so that all sum to 1."""
    seen: dict[Gram, float] = {}
    seen_lower: dict[Gram, float] = {}
    for gram, probability in grams.items():
        context = gram[:-1]
        seen[context] = seen.get(context, 0.0) + probability
        seen_lower[context] = seen_lower.get(context, 0.0) + lower[gram[1:]]
    return {c: max(1e-6, 1 - seen[c]) / max(1e-6, 1 - seen_lower[c]) for c in seen}


def _line(gram: Gram, probability: float, backoff: float | None) -> str:
    line = f"{math.log10(probability):.4f} {' '.join(gram)}"
    return line if backoff is None else f"{line} {math.log10(backoff):.4f}"
