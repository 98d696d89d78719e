"""The recogniser's language model: a trigram model of everyday talk, in ARPA format.

PocketSphinx's own model was made from broadcasts and telephone calls: "tell me a
story about the sea" is improbable there, and its size makes decoding slow. This one
is counted from `everyday.txt`; the common words of English and their likeliest pairs
(`common_words.txt`, `word_pairs.txt`, see `language_statistics`) are possible
anywhere. It is built when a recogniser starts.
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
COMMON_WORDS = FOLDER / "common_words.txt"
WORD_PAIRS = FOLDER / "word_pairs.txt"
EVERYDAY = FOLDER / "everyday.txt"

PLAIN_WEIGHT = 12
"""How often a sentence without slots is counted; one with a slot counts once per value."""

MAX_SENTENCES = 60
"""A pattern with two slots stands for so many of its sentences."""

GENERAL_SHARE = 0.25
"""Of a word's probability without context, what comes from the list of common words."""

DISCOUNT = 0.5
"""Taken from each count, for what was not seen (absolute discounting)."""

MIN_UNSEEN = {2: 0.35, 3: 0.2}
MAX_UNSEEN = 0.9
"""Bounds of the probability, after a context of everyday talk, of what is not in it."""

MAX_PAIRED = 0.98
"""Of the probability after a word, what its known pairs may take."""

START, END = "<s>", "</s>"
_SLOT = re.compile(r"\{(\w+)\}")
_LEAST = 1e-6

Gram = tuple[str, ...]
Probabilities = dict[Gram, float]


def everyday_sentences(source: str) -> list[str]:
    """Return the sentences that a file of lists and patterns stands for; always the same ones."""
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
    return random.Random(pattern).sample(made, MAX_SENTENCES)  # nosec B311  # the same each time


def build() -> tuple[str, set[str]]:
    """Return the model, in ARPA format, and its words."""
    words = {}
    for line in COMMON_WORDS.read_text().splitlines():
        word, score = line.split()
        words[word] = _probability(score)
    pairs = {}
    for line in WORD_PAIRS.read_text().splitlines():
        first, *rest = line.split()
        for second, score in zip(rest[::2], rest[1::2], strict=True):
            pairs[first, second] = _probability(score)
    return arpa(everyday_sentences(EVERYDAY.read_text()), words, pairs)


def _probability(score: str) -> float:
    return math.pow(10, -int(score) / 100)


def arpa(
    sentences: Iterable[str],
    words: Mapping[str, float],
    pairs: Mapping[tuple[str, str], float],
) -> tuple[str, set[str]]:
    """Return a trigram model, and its words.

    Args:
        sentences: everyday talk, in lower case.
        words: common words by their probability, as far as is known.
        pairs: words that follow each other, by the probability of the second after the first.
    """
    counts: list[Counter[Gram]] = [Counter(), Counter(), Counter()]
    for sentence in sentences:
        said = (START, *sentence.split(), END)
        for order, counted in enumerate(counts, 1):
            counted.update(said[i : i + order] for i in range(len(said) - order + 1))
    del counts[0][START,]
    unigrams = _unigrams(counts[0], words)
    bigrams = _bigrams(counts[1], unigrams, pairs)
    trigrams = _interpolated(counts[2], bigrams, 3)
    levels: list[tuple[Probabilities, Probabilities]] = [
        ({(START,): 1e-99, **unigrams}, _backoffs(bigrams, unigrams)),
        (bigrams, _backoffs(trigrams, bigrams)),
        (trigrams, {}),
    ]
    lines = ["\\data\\"]
    lines += [f"ngram {order}={len(grams)}" for order, (grams, _) in enumerate(levels, 1)]
    for order, (grams, backoffs) in enumerate(levels, 1):
        lines += ["", f"\\{order}-grams:"]
        lines += [_line(gram, grams[gram], backoffs.get(gram)) for gram in sorted(grams)]
    lines += ["", "\\end\\", ""]
    return "\n".join(lines), {gram[0] for gram in unigrams} - {END}


def _unigrams(counts: Counter[Gram], words: Mapping[str, float]) -> Probabilities:
    total, known = counts.total(), sum(words.values())
    found = {gram: (1 - GENERAL_SHARE) * count / total for gram, count in counts.items()}
    for word, probability in words.items():
        found[word,] = found.get((word,), 0.0) + GENERAL_SHARE * probability / known
    return found


def _bigrams(
    counts: Counter[Gram], unigrams: Probabilities, pairs: Mapping[tuple[str, str], float]
) -> Probabilities:
    """Return everyday talk's bigrams, over those of common words, over single words."""
    general = _general_bigrams(unigrams, pairs)
    backoffs = _backoffs(general, unigrams)
    unseen = _unseen(counts, 2)
    found = {gram: unseen.get(gram[:1], 1.0) * share for gram, share in general.items()}
    totals = _totals(counts)
    for gram, count in counts.items():
        context = gram[:1]
        otherwise = general.get(gram, backoffs.get(context, 1.0) * unigrams[gram[1:]])
        found[gram] = (1 - unseen[context]) * count / totals[context] + unseen[context] * otherwise
    return found


def _general_bigrams(
    unigrams: Probabilities, pairs: Mapping[tuple[str, str], float]
) -> Probabilities:
    found = {pair: p for pair, p in pairs.items() if pair[1:] in unigrams}
    sums: dict[str, float] = {}
    for (first, _), probability in found.items():
        sums[first] = sums.get(first, 0.0) + probability
    return {
        pair: probability * min(1.0, MAX_PAIRED / sums[pair[0]])
        for pair, probability in found.items()
        if pair[0] == START or pair[:1] in unigrams
    }


def _interpolated(counts: Counter[Gram], lower: Probabilities, order: int) -> Probabilities:
    totals, unseen = _totals(counts), _unseen(counts, order)
    return {
        gram: (1 - unseen[gram[:-1]]) * count / totals[gram[:-1]]
        + unseen[gram[:-1]] * lower[gram[1:]]
        for gram, count in counts.items()
    }


def _totals(counts: Counter[Gram]) -> Counter[Gram]:
    totals: Counter[Gram] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    return totals


def _unseen(counts: Counter[Gram], order: int) -> Probabilities:
    """Return the probability that is left after each context for what did not follow it."""
    kinds = Counter(gram[:-1] for gram in counts)
    return {
        context: min(MAX_UNSEEN, max(MIN_UNSEEN[order], DISCOUNT * kinds[context] / total))
        for context, total in _totals(counts).items()
    }


def _backoffs(grams: Probabilities, lower: Probabilities) -> Probabilities:
    """Return what the shorter context's probabilities are weighted with, so that all sum to 1."""
    seen: Probabilities = {}
    seen_lower: Probabilities = {}
    for gram, probability in grams.items():
        context = gram[:-1]
        seen[context] = seen.get(context, 0.0) + probability
        seen_lower[context] = seen_lower.get(context, 0.0) + lower[gram[1:]]
    return {c: max(_LEAST, 1 - seen[c]) / max(_LEAST, 1 - seen_lower[c]) for c in seen}


def _line(gram: Gram, probability: float, backoff: float | None) -> str:
    line = f"{math.log10(probability):.4f} {' '.join(gram)}"
    return line if backoff is None else f"{line} {math.log10(backoff):.4f}"
