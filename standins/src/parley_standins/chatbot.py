"""A rule-based chatbot: the reply to a conversation, from the whole of it so far.

It remembers names and facts that it was told, does sums, counts, tells the time and
stories, and repeats. It is no language model and does not pretend to understand more
than its rules; what none of them knows is answered with the user's own words. Pure:
equal conversations at equal times have equal replies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from parley_standins.chatbot_stories import joke, story
from parley_standins.spoken_numbers import first_numbers, in_words, sum_in
from parley_standins.tool_talk import Call, CallAnswer

MAX_COUNT = 100

_CUT_OFF = re.compile(r"(?:…|\.\.\.)\s*(?:\[[^\]]*\]|\([^)]*\))?\s*$")
_NAME = re.compile(r"\bmy name(?:'s| is) ([\w'-]+)|\bcall me ([\w'-]+)|\bi am called ([\w'-]+)")
_I_AM = re.compile(r"^(?:(?:hi|hello|hey|good \w+) )?(?:i am|i'm|this is) ([\w'-]+)$")
_FACT = re.compile(r"\bmy ((?:[\w'-]+ ){0,3}?[\w'-]+) (?:is|are|was) ((?:[\w'-]+ ?){1,8})$")
_PLACE = re.compile(r"\bi (live|work|was born) (?:in|at|near) ((?:[\w'-]+ ?){1,5})$")
_NOT_NAMES = frozenset(
    [
        "a",
        "an",
        "the",
        "not",
        "so",
        "very",
        "fine",
        "good",
        "well",
        "ok",
        "okay",
        "happy",
        "sad",
        "tired",
        "hungry",
        "sorry",
        "here",
        "there",
        "from",
        "in",
        "at",
        "going",
        "just",
        "really",
        "sure",
        "your",
        "my",
        "old",
    ]
)
_REPEAT = re.compile(
    r"^(?:please |can you |could you )*(?:repeat after me|say)\b[\s,:;.]*(.+)$", re.I
)
_AMOUNTS = {
    ("days", "week"): 7,
    ("days", "year"): 365,
    ("months", "year"): 12,
    ("weeks", "year"): 52,
    ("hours", "day"): 24,
    ("minutes", "hour"): 60,
    ("seconds", "minute"): 60,
    ("days", "month"): 30,
    ("letters", "alphabet"): 26,
    ("legs", "spider"): 8,
}
_CAPITALS = {
    "france": "Paris",
    "england": "London",
    "germany": "Berlin",
    "spain": "Madrid",
    "italy": "Rome",
    "japan": "Tokyo",
    "america": "Washington",
    "canada": "Ottawa",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; `role` is OpenAI's.

    Attributes:
        calls: what the assistant called.
        answers: what came of calls, of a tool's message.
    """

    role: str
    content: str
    calls: tuple[Call, ...] = ()
    answers: tuple[CallAnswer, ...] = ()


def plain(text: str) -> str:
    """Return a text in lower case, without punctuation but for what belongs to words and sums."""
    text = text.lower().replace("’", "'").replace("what's", "what is").replace("who's", "who is")
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return " ".join(re.sub(r"[^\w\s'+*/÷×.-]|\.(?!\d)|(?<!\w)'|'(?!\w)", " ", text).split())


@dataclass(frozen=True, slots=True)
class _Turn:
    """What a rule looks at.

    Attributes:
        said: the user's last message.
        heard: the same, plain.
        earlier: the messages before it.
        facts: what the user has told, newest last: subject to value.
    """

    said: str
    heard: str
    earlier: Sequence[Message]
    facts: dict[str, str]
    now: datetime

    def earlier_by(self, role: str) -> list[str]:
        return [message.content for message in self.earlier if message.role == role]

    def asked_before(self, word: str) -> int:
        return sum(word in plain(text) for text in self.earlier_by("user"))


def reply_to(messages: Sequence[Message], now: datetime) -> str:
    """Return the reply to a conversation whose last user message is to be answered.

    Args:
        messages: all of it, the oldest first.
        now: the user's time.
    """
    messages = list(_in_lines(messages))
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        return "Hello, what can I do for you?"
    said = messages[last].content.strip()
    turn = _Turn(said, plain(said), messages[:last], _facts(messages[: last + 1]), now)
    if not turn.heard:
        return "Sorry, I didn't catch that."
    return next(reply for rule in _RULES if (reply := rule(turn)))


def _in_lines(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages, each line of a user's as one: those without a reply are sent as lines."""
    for message in messages:
        lines = message.content.splitlines() if message.role == "user" else []
        if len(lines) < 2:
            yield message
        else:
            yield from (Message("user", line) for line in lines if line.strip())


def _facts(messages: Sequence[Message]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for message in messages:
        if message.role == "user":
            for sentence in re.split(r"[.!?;]\s+|[.!?;]$|,? and (?=my |i )", message.content):
                facts |= _told(plain(sentence))
    return facts


def _told(heard: str) -> dict[str, str]:
    if re.match(r"(?:what|who|where|how|do|is|are|can|why|tell)\b", heard):
        return {}
    if match := _NAME.search(heard) or _I_AM.search(heard):
        name = next(group for group in match.groups() if group)
        return {} if name in _NOT_NAMES or name.endswith("ing") else {"name": name.title()}
    if match := _FACT.search(heard):
        return {match[1]: match[2].strip()}
    if match := _PLACE.search(heard):
        return {match[1]: match[2].strip()}
    return {}


def _has(turn: _Turn, *patterns: str) -> bool:
    return any(re.search(pattern, turn.heard) for pattern in patterns)


def _go_on(turn: _Turn) -> str | None:
    """Finish what was cut off: its own earlier words tell how it went on."""
    if not _has(turn, r"^(?:please )?(?:go on|continue|keep going|carry on|tell me more)\b"):
        return None
    earlier = list(turn.earlier)
    while earlier and earlier[-1].role != "assistant":
        earlier.pop()
    if not earlier:
        return "Gladly, but I haven't said anything yet. What would you like to hear?"
    heard = earlier.pop().content.strip()
    if not _CUT_OFF.search(heard):
        return "Well, that was all I had to say. Ask me for a story, if you like."
    heard = _CUT_OFF.sub("", heard).strip()
    whole = reply_to(earlier, turn.now)
    if not whole.startswith(heard):
        return "Of course, but I have lost the thread. Where were we?"
    if whole[len(heard) :][:1].isalnum():
        # Cut off in the middle of a word: say that word again.
        heard = heard.rpartition(" ")[0]
    rest = whole[len(heard) :].strip(" ,;:")
    if not rest:
        return "Of course, but I was at the end already."
    return f"Of course. {rest[0].upper()}{rest[1:]}"


def _repeat(turn: _Turn) -> str | None:
    if _has(
        turn, r"\bsay (?:that|it) again\b", r"^(?:please )?repeat (?:that|it)\b", r"what did you"
    ):
        said = turn.earlier_by("assistant")
        return f"I said: {_CUT_OFF.sub('', said[-1]).strip()}" if said else "I said nothing yet."
    match = _REPEAT.match(turn.said)
    return _sentence(match[1]) if match else None


def _what_i_said(turn: _Turn) -> str | None:
    if not _has(
        turn, r"what did i (?:just )?(?:say|tell|ask)", r"what (?:have i|i) (?:just )?said"
    ):
        return None
    said = turn.earlier_by("user")
    return f"You said: {_sentence(said[-1])}" if said else "You haven't said anything before that."


def _sum(turn: _Turn) -> str | None:
    answer = sum_in(turn.heard)
    return answer or None


def _recall(turn: _Turn) -> str | None:
    if _has(turn, r"\bwho am i\b", r"(?:what|know|remember|say|tell).*\bmy name\b(?! is \w+$)"):
        name = turn.facts.get("name")
        return f"Your name is {name}." if name else "You haven't told me your name yet."
    match = re.search(
        r"^(?:so )?(?:what|who|when|where|how|which) (?:is|are|was) my (.+)$", turn.heard
    )
    if match:
        value = turn.facts.get(match[1])
        subject = f"your {match[1]}"
        if value:
            return f"You told me: {subject} is {_second_person(value)}."
        return f"I don't know, you haven't told me about {subject} yet."
    match = re.search(r"\bwhere (?:do|did|was|am) i (live|work|born)\b", turn.heard)
    if match:
        verb = "was born" if match[1] == "born" else match[1]
        place = turn.facts.get(verb)
        phrase = {"was born": "were born"}.get(verb, verb)
        return f"You {phrase} in {place.title()}." if place else "You haven't told me that yet."
    if _has(turn, r"what do you (?:know|remember) about me"):
        known = [
            f"your {k} is {_second_person(v)}" for k, v in turn.facts.items() if k not in _VERBS
        ]
        return f"Let me see, {', and '.join(known)}." if known else "Not much, tell me something."
    return None


_VERBS = frozenset({"live", "work", "was born"})


def _remember(turn: _Turn) -> str | None:
    told: dict[str, str] = {}
    for sentence in re.split(r"[.!?;]\s+|[.!?;]$", turn.said):
        told |= _told(plain(sentence))
    if not told or turn.said.rstrip().endswith("?"):
        return None
    if "name" in told:
        return f"Nice to meet you, {told['name']}. What would you like to talk about?"
    subject, value = next(iter(told.items()))
    if subject in _VERBS:
        return f"Good to know, {value.title()} sounds like an interesting place."
    return f"Got it, your {subject} is {_second_person(value)}. I'll remember that."


def _clock(turn: _Turn) -> str | None:
    if _has(turn, r"\bwhat(?: is the)? time\b", r"\btime is it\b", r"\btell me the time\b"):
        return f"It's {turn.now.strftime('%I:%M %p').lstrip('0')}."
    if _has(
        turn, r"\bwhat day\b", r"\bwhat(?: is)?(?: the)?(?: today's)? date\b", r"\bdate is it\b"
    ):
        return f"Today is {turn.now.strftime('%A, %B')} {turn.now.day}."
    if _has(turn, r"\bwhat year\b"):
        return f"It's the year {turn.now.year}."
    return None


def _count(turn: _Turn) -> str | None:
    if not _has(turn, r"\bcount\b"):
        return None
    numbers = [int(number) for number in first_numbers(turn.heard)]
    down = _has(turn, r"\bdown\b", r"\bback")
    if not numbers:
        return "Sure, one, two, three. Shall I go on?"
    first, last = (numbers[0], numbers[1]) if len(numbers) > 1 else (1, numbers[0])
    if down and len(numbers) == 1:
        first, last = last, 1
    step = -1 if first > last else 1
    counted = list(range(first, last + step, step))[:MAX_COUNT]
    stop = "." if counted[-1] == last else ". That is enough, I think."
    return f"Sure, {', '.join(in_words(number) for number in counted)}{stop}"


def _story(turn: _Turn) -> str | None:
    if not _has(turn, r"\bstory\b", r"\bstories\b", r"\btell me (?:something |more )?about\b"):
        return None
    match = re.search(r"\babout (.+)$", turn.heard)
    topic = _second_person(match[1]) if match else "the stars"
    return story(topic, turn.asked_before("story"), long=_has(turn, r"\blong"))


def _facts_of_the_world(turn: _Turn) -> str | None:
    if match := re.search(
        r"how many (\w+) .*?\b(?:in|has|have|does)\b (?:an? |the )?(\w+)", turn.heard
    ):
        amount = _AMOUNTS.get((match[1], match[2]))
        if amount:
            article = "an" if match[2][0] in "aeiouh" and match[2] != "human" else "a"
            return f"There are {in_words(amount)} {match[1]} in {article} {match[2]}."
    if match := re.search(r"capital of (\w+)", turn.heard):
        capital = _CAPITALS.get(match[1])
        country = match[1].title()
        return f"The capital of {country} is {capital}." if capital else None
    if _has(turn, r"\bsky blue\b"):
        return "Because air scatters blue light more than red. So blue comes from everywhere."
    return None


def _small_talk(turn: _Turn) -> str | None:
    name = turn.facts.get("name")
    suffix = f", {name}" if name else ""
    answers = (
        (r"\bhow are you\b|\bhow is it going\b|\bhow do you do\b", "I'm fine, thank you. And you?"),
        (r"\bthank", f"You're welcome{suffix}."),
        (
            r"\b(?:good ?bye|bye|see you|good night)\b",
            f"Goodbye{suffix}. It was nice talking to you.",
        ),
        (r"\bjoke\b|\bmake me laugh\b", joke(turn.asked_before("joke"))),
        (
            r"\bwho are you\b|\byour name\b|\bwhat are you\b|\bare you a\b",
            "I'm a stand-in, a small program with rules. A real language model can take my place.",
        ),
        (
            r"\bwhat can you do\b|\bhelp me\b|^help$|\bneed (?:some )?help\b",
            "Well, I can do sums, count, tell stories and the time. "
            "And I remember what you tell me.",
        ),
        (r"\bweather\b|\brain\b", "I can't look outside, but I hope the sun is shining for you."),
        (r"\bcan you hear me\b|\bare you there\b", f"Yes, I can hear you{suffix}."),
        (r"^(?:stop|wait|enough|be quiet|never mind)\b", "Okay, I'll be quiet."),
        (r"^(?:yes|yeah|sure|okay|ok|right)\b", "Good, go ahead."),
        (r"^(?:no|nope)\b", "All right, never mind then."),
        (r"\bgood (morning|afternoon|evening)\b", ""),
        (r"^(?:hi|hello|hey)\b", f"Hello{suffix}. What can I do for you?"),
    )
    for pattern, answer in answers:
        if match := re.search(pattern, turn.heard):
            return answer or f"Good {match[1]}{suffix}. How can I help you?"
    return None


def _quote(turn: _Turn) -> str:
    words = _second_person(turn.heard)
    if turn.said.rstrip().endswith("?") or re.match(
        r"(?:what|who|where|why|how|when)\b", turn.heard
    ):
        return f"Hmm, you asked: {words}. I'm afraid I don't know that one."
    return f"I see, {words}. Tell me more about that."


_SWAPS = {
    "i": "you",
    "i'm": "you're",
    "i've": "you've",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "am": "are",
    "your": "my",
    "you": "I",
    "yours": "mine",
}


def _second_person(text: str) -> str:
    return " ".join(_SWAPS.get(word, word) for word in text.split())


def _sentence(text: str) -> str:
    text = text.strip()
    text = f"{text[:1].upper()}{text[1:]}"
    return text if text[-1:] in ".!?…" else f"{text}."


_RULES: tuple[Callable[[_Turn], str | None], ...] = (
    _go_on,
    _what_i_said,
    _repeat,
    _recall,
    _remember,
    _count,
    _sum,
    _clock,
    _story,
    _facts_of_the_world,
    _small_talk,
    _quote,
)
