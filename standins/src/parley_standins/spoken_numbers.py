"""Numbers as people say them: words to numbers and back, and sums in words."""

from __future__ import annotations

import re

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = dict(
    zip(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        range(20, 100, 10),
        strict=True,
    )
)
_VALUES = {word: value for value, word in enumerate(_SMALL)} | _TENS
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
MAX_IN_WORDS = 999_999

# What a recogniser makes of "divided by" and the like is in here too.
_OPERATORS = (
    ("multiplied by", "*"),
    ("divided by", "/"),
    ("divided", "/"),
    ("plus", "+"),
    ("minus", "-"),
    ("less", "-"),
    ("times", "*"),
    ("over", "/"),
    ("x", "*"),
)
_SPOKEN = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
_DIGITS = re.compile(r"\d+(?:\.\d+)?")


def in_words(number: float) -> str:
    """Return a number as it is said; in digits where words would be too long.

    >>> in_words(1305)
    'one thousand three hundred five'
    """
    if number < 0:
        return f"minus {in_words(-number)}"
    if number != int(number):
        return f"{number:.2f}".rstrip("0")
    whole = int(number)
    if whole > MAX_IN_WORDS:
        return f"{whole:,}"
    if whole < 20:
        return _SMALL[whole]
    if whole < 100:
        tens, rest = divmod(whole, 10)
        word = next(word for word, value in _TENS.items() if value == tens * 10)
        return f"{word}-{_SMALL[rest]}" if rest else word
    scale, name = (1000, "thousand") if whole >= 1000 else (100, "hundred")
    count, rest = divmod(whole, scale)
    return f"{in_words(count)} {name}" + (f" {in_words(rest)}" if rest else "")


def is_number(word: str) -> bool:
    """Return whether a word is a number or part of one."""
    return word in _VALUES or word in _SCALES or bool(_DIGITS.fullmatch(word))


def parse(words: list[str]) -> float | None:
    """Return the number that words say; None when they are none.

    >>> parse(["twenty", "one"])
    21.0
    """
    if len(words) == 1 and _DIGITS.fullmatch(words[0]):
        return float(words[0])
    if not words or not all(word in _VALUES or word in _SCALES for word in words):
        return None
    total, current = 0, 0
    for word in words:
        if word in _VALUES:
            current += _VALUES[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        else:
            total += max(current, 1) * _SCALES[word]
            current = 0
    return float(total + current)


def first_numbers(text: str) -> list[float]:
    """Return the numbers in a text, in order."""
    found: list[float] = []
    run: list[str] = []
    for word in [*text.replace("-", " ").split(), ""]:
        if is_number(word):
            run.append(word)
        elif run:
            value = parse(run)
            if value is not None:
                found.append(value)
            run = []
    return found


def sum_in(text: str) -> str | None:
    """Return the answer to a sum in a text, as a sentence; None when there is none.

    >>> sum_in("what is two plus three")
    'Two plus three is five.'
    """
    parsed = _parsed(text)
    if parsed is None:
        return None
    numbers, operators = parsed
    spoken = in_words(numbers[0])
    for operator, number in zip(operators, numbers[1:], strict=True):
        spoken += f" {_SPOKEN[operator]} {in_words(number)}"
    result = _value(numbers, operators)
    if result is None:
        return f"Nobody can divide by zero, so {spoken} has no answer."
    about = " about" if result != round(result, 2) else ""
    return f"{spoken[0].upper()}{spoken[1:]} is{about} {in_words(result)}."


def _parsed(text: str) -> tuple[list[float], list[str]] | None:
    """Return the last run of numbers with operators between them."""
    joined = " plus " if re.search(r"\b(?:add|sum of)\b", text) else " "
    text = re.sub(r"(?<=hundred) and (?=\w)|(?<=thousand) and (?=\w)", " ", text)
    text = text.replace(" and ", joined)
    text = re.sub(r"([+*/=])", r" \1 ", text.replace("×", "*").replace("÷", "/"))
    text = re.sub(r"(?<=\s)-(?=\s)|(?<=\d)-(?=\d)", " minus ", text).replace("-", " ")
    for spoken, operator in _OPERATORS:
        text = re.sub(rf"(?<!\S){spoken}(?!\S)", operator if operator != "-" else "−", text)
    numbers: list[float] = []
    operators: list[str] = []
    run: list[str] = []
    for word in text.split():
        if is_number(word):
            run.append(word)
            continue
        value = parse(run)
        run = []
        if value is None or word not in "+−*/":
            if len(numbers) == len(operators) and value is None:
                numbers, operators = [], []
            if value is not None and len(operators) == len(numbers) and numbers:
                return [*numbers, value], operators
            numbers, operators = [], []
            continue
        numbers.append(value)
        operators.append(word.replace("−", "-"))
    value = parse(run)
    if value is None or not operators:
        return None
    return [*numbers, value], operators


def _value(numbers: list[float], operators: list[str]) -> float | None:
    """Return the value, with multiplication and division first; None for a division by zero."""
    terms = [numbers[0]]
    for operator, number in zip(operators, numbers[1:], strict=True):
        if operator == "*":
            terms[-1] *= number
        elif operator == "/":
            if number == 0:
                return None
            terms[-1] /= number
        else:
            terms.append(number if operator == "+" else -number)
    return sum(terms)
