"""When the words of a reply sound: of the text as it was written, a character a word where a script
has no spaces, and never half a word."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio.heard import heard_text, split_heard
from parley.audio.word_timing import Alignment, WordTimer
from parley.protocol.messages import Word
from parley.text.sentence_splitter import SentenceSplitter
from parley.text.spoken_text import SpokenText

CHAR_MS = 10


class Reply:
    """A reply that has been written, cut for speech, and given to a voice of 10 ms a character."""

    def __init__(self, written: str) -> None:
        self.written = written
        spoken, splitter = SpokenText(), SentenceSplitter()
        clauses = splitter.feed(spoken.feed(written)) + splitter.feed(spoken.finish())
        self.clauses = clauses + splitter.flush()
        self.timer = WordTimer(spoken)
        for clause in self.clauses:
            self.timer.expect(clause)
        self.sounds = "".join(clause + " " for clause in self.clauses)
        """Every character that sounds; ElevenLabs times the space behind a clause too."""

    def sound(self, begin: int, end: int) -> list[Word]:
        """A frame of audio with these characters."""
        chars = [*self.sounds[begin:end]]
        starts = [float(CHAR_MS * n) for n in range(len(chars))]
        return self.timer.add(
            Alignment(chars, starts, [float(CHAR_MS)] * len(chars)), begin * CHAR_MS
        )

    def words(self, *cuts: int) -> list[Word]:
        """All of it, in frames that end there."""
        ends = [0, *sorted(cuts), len(self.sounds)]
        frames = [self.sound(begin, end) for begin, end in itertools.pairwise(ends)]
        return [*itertools.chain(*frames), *self.timer.finish()]

    def heard(self, words: list[Word], played_ms: float) -> str:
        return heard_text(split_heard(self.written, words), played_ms)


WRITTEN = [
    "Once there was a fox. It slept.",
    "今天天气很好我们一起去公园散步然后去吃饭再去看电影晚上回家休息。明天继续工作。",
    "我喜欢Python编程，你呢？是的。",
    "สวัสดีครับ เก่าแก่กำ ไปไหน",
    "ສະບາຍດີ ທ່ານ ເກົ່າ",
    "សួស្តី។ សុខសប្បាយទេ។",
    "မင်္ဂလာပါ။ နေကောင်းလား။",
    "今日は「いい天気」ですね。カ\u3099キ。",
    "안녕하세요. 오늘 날씨가 좋네요.",
    "# **Menu**\n\n- *Soup* of the day, 今天。\n- [Fish](https://a.example/b c)\n\n---\nEnjoy!",
    "Run:\n```sh\nmake\nmake run\n```\nThen see https://a.example/b.",
    "| Name | Age |\n| --- | --- |\n| Bob | 3 |\n",
    "So... . . . (yes) ‘no’ — 😀 maybe.",
    "**Bold** only**",
    "```\nonly\ncode\n```",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_the_words_are_the_written_text_without_its_white_space(written: str) -> None:
    words = Reply(written).words()
    if words:
        assert "".join("".join(w.text for w in words).split()) == "".join(written.split())
    starts = [word.start_ms for word in words]
    assert starts == sorted(starts)
    assert all(word.start_ms <= word.end_ms for word in words)


@pytest.mark.parametrize("written", WRITTEN)
def test_what_was_heard_is_the_beginning_of_the_reply_at_any_cut(written: str) -> None:
    reply = Reply(written)
    words, before = reply.words(), ""
    for played_ms in range(0, len(reply.sounds) * CHAR_MS + CHAR_MS, CHAR_MS // 2):
        heard = reply.heard(words, played_ms)
        assert written.startswith(heard)
        assert heard.startswith(before), "more is never less"
        before = heard
    if words:
        assert before == written.rstrip()


@pytest.mark.parametrize("written", WRITTEN)
def test_how_the_audio_is_cut_into_frames_makes_no_difference(written: str) -> None:
    whole, length = Reply(written).words(), len(Reply(written).sounds)
    for cut in range(length + 1):
        assert Reply(written).words(cut) == whole
    assert Reply(written).words(*range(length)) == whole


def test_of_han_what_was_heard_is_known_to_the_character() -> None:
    reply = Reply(WRITTEN[1])
    words = reply.words()
    assert reply.heard(words, 150) == "今天天气很好我们一起去公园散步"
    assert reply.heard(words, 10_000) == WRITTEN[1]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_voice_that_breaks_off_anywhere_leaves_no_half_a_word(written: str) -> None:
    whole, length = Reply(written).words(), len(Reply(written).sounds)
    for broken_off in range(length + 1):
        reply = Reply(written)
        words = reply.sound(0, broken_off)
        assert words == [word for word in whole if word in words][: len(words)]
        assert words == whole[: len(words)]
        ended = [w for w in whole if w.end_ms <= broken_off * CHAR_MS and w.start_ms < w.end_ms]
        assert [w for w in words if w.start_ms < w.end_ms] == ended


@pytest.mark.parametrize(
    "written",
    [
        "# Menu today", "- Tea", "> Quote", "1. Tea", "**Menu**", "> # *Menu* today", "* * *\nMenu",
        "```\na = 1\nb = 2\n```\nDone.", "<!-- no -->Hi", "😀 Hi", "|Tea|5|\n|-|-|",
        "[Docs](https://a.example)", "[^1] So", "— Hi", "---\n\n# 今天",
    ],
)  # fmt: skip
def test_before_the_first_word_has_ended_nothing_was_heard(written: str) -> None:
    reply = Reply(written)
    words = reply.words()
    sounding = next(char for char in reply.sounds if char.isalnum())
    for played_ms in range(reply.sounds.index(sounding) * CHAR_MS + CHAR_MS):
        assert reply.heard(words, played_ms) == ""
    assert reply.heard(words, 10_000) == written


@pytest.mark.parametrize("broken_off", range(1, 4))
def test_half_of_lulu_is_not_lulu(broken_off: int) -> None:
    reply = Reply("Lulu sang.")
    assert reply.sound(0, broken_off) == []
    assert reply.timer.finish() == []  # also if the voice says that this was all
    assert reply.timer.timed
    assert Reply("Lulu sang.").sound(0, 4) == [Word("Lulu", 0, 40)]


def test_characters_that_the_voice_passes_over_or_adds_move_nothing() -> None:
    reply = Reply("One 😀 two, (three) four.")
    sounds = "One two, three four."
    times = [float(CHAR_MS * n) for n in range(len(sounds))]
    words = reply.timer.add(Alignment([*sounds], times, [10.0] * len(sounds)), 0)
    assert [word.text for word in words + reply.timer.finish()] == [
        "One", "😀", "two,", "(three)", "four.",
    ]  # fmt: skip


def test_a_version_made_for_speaking_gives_words_of_the_text() -> None:
    reply = Reply("He has 42 apples, yes.")
    sounds = "He has forty-two apples, yes. "
    times = [float(CHAR_MS * n) for n in range(len(sounds))]
    words = reply.timer.add(Alignment([*sounds], times, [10.0] * len(sounds), exact=False), 0)
    assert words + reply.timer.finish() == [
        Word("He", 0, 20), Word("has", 30, 60), Word("42 apples,", 70, 240), Word("yes.", 250, 290),
    ]  # fmt: skip


def test_without_times_there_are_no_words() -> None:
    reply = Reply("One two.")
    assert not reply.timer.timed
    assert reply.timer.finish() == []


@given(
    st.text("ab 你กำ.*`#\n-|[]()😀\t\r\u00a0\u202f\u3000\x0c\x85\u2028", max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_any_text_in_any_frames(written: str, cuts: list[int]) -> None:
    words = Reply(written).words(*cuts)
    assert words == Reply(written).words()
    heard = Reply(written).heard(words, 1e9)
    assert written.startswith(heard)
    if words:
        assert heard == written.rstrip()
