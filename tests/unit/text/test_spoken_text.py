"""What of a reply is spoken, and where in the reply it stands."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from parley.text.spoken_text import FIRST_LOOKAHEAD_CHARS, LOOKAHEAD_CHARS, SpokenText


def spoken(*tokens: str) -> SpokenText:
    text = SpokenText()
    given_back = [text.feed(token) for token in tokens]
    assert "".join([*given_back, text.finish()]) == text.text
    return text


def places(text: SpokenText) -> list[tuple[str, int, int]]:
    return [(char, text.start(n), text.end(n)) for n, char in enumerate(text.text)]


READ = [
    ("**Menu**: *soup* and ***fish***.", "Menu: soup and fish."),
    ("__Menu__: _soup_ and ~~fish~~.", "Menu: soup and fish."),
    ("*smiles* Hello **there**!", "smiles Hello there!"),
    ("这是**重要**的。", "这是重要的。"),
    ("이것은 **중요**합니다.", "이것은 중요합니다."),
    ("**“Hi!”** he said.", "“Hi!” he said."),
    ("**a *b* c** d", "a b c d"),
    ("# Title\nText", "Title\nText"),
    ("### Title ###\nText", "Title\nText"),
    ("Title\n=====\nText", "Title\nText"),
    ("- One\n- **Two**\n* Three\n+ Four\n• Five", "One\nTwo\nThree\nFour\nFive"),
    ("- [x] Done\n- [ ] Open", "Done\nOpen"),
    ("1. One\n2) Two\n   - Three", "1. One\n2) Two\nThree"),
    ("See [the docs](https://a.example/b_c*d) now.", "See the docs now."),
    ('See [it](https://a.example "The title").', "See it."),
    ("See [**it**](<a b>).", "See it."),
    ("See [a (b)](https://en.example/A_(b)).", "See a (b)."),
    ("![A fox](fox.png) and [![x](y)](z).", "A fox and x."),
    ("It is so[^1].", "It is so."),
    ("Run `main.py`, or ``a`b``.", "Run main.py, or a`b."),
    ("Call `f(*args)` and `a_b_c`.", "Call f(*args) and a_b_c."),
    ("Run:\n```bash\nmake run\n```\nDone.", "Run:\nmake run\nDone."),
    ("Code:\n```python\nx = 1\ny = 2\n```\nDone.", "Code:\nDone."),
    ("Code:\n~~~\nx = 1\n```\ny = 2\n~~~\nDone.", "Code:\nDone."),
    ("Code:\n```python\nx = 1\ny = 2", "Code:"),
    ("| Name | Age |\n| --- | :-: |\n| Bob | 3 |\n\nEnd", "Name, Age\nBob, 3\nEnd"),
    ("Name | Age\n--- | ---\nBob | 3\n", "Name | Age\nBob, 3"),
    ("|a|b|\n|-|-|\n|1||", "a, b\n1"),
    ("> Once\n> upon\n>> a time", "Once\nupon\na time"),
    ("Hi\n\n---\n\nThere\n***\n_ _ _", "Hi\nThere"),
    ("<b>Hi</b> <a href=\"x\">there</a><br>you<!-- no -->", "Hi there\nyou"),
    ("<ul><li>One</li><li>Two</li></ul>", "One\nTwo"),
    ("See https://www.example.com/a/b?x=1&y=2. Or http://localhost:3000/x!",
     "See example.com. Or localhost:3000!"),
    ("(https://en.example.org/A_(b)) and <https://x.example/y>",
     "(en.example.org) and x.example"),
    ("看https://a.example/b。好", "看a.example。好"),
    ("Mail <me@example.org>.", "Mail me@example.org."),
    ("R&amp;D &lt; 3&nbsp;€ &mdash; so", "R&D < 3 € — so"),
    ("*" + "walks on " * 40 + "far*", "walks on " * 40 + "far"),
    ("- **" + "walks on " * 40 + "far** end", "walks on " * 40 + "far end"),
    (r"\*not\* \_this\_ \# 1\.", "*not* _this_ # 1."),
    ("One\\\nTwo", "One\nTwo"),
    ("| Produit | Prix |\n|---|---|\n| Café | 5\u00a0€ |", "Produit, Prix\nCafé, 5\u00a0€"),
    ("| A | B |\r\n|---|---|\r\n| a | b |\r\n\r\nEnd | here", "A, B\na, b\nEnd | here"),
    ("| 名前 |\u3000値 |\n|-|-|\n|\u3000りんご\u3000|3\u202fkg|", "名前, 値\nりんご, 3\u202fkg"),
    ("|a\x0c|\x85b\u2028|\n|-|-|\n|1\x0b2|\u2003|", "a, b\n1\x0b2"),
    ("**a\r\n\r\nb** c\\\r\nd", "**a\nb** c\nd"),
    ("```go\nfunc main() {\n\tfmt.Println(1)\n}\n```\nDone.", "Done."),
    ("```\none\n\u3000\ntwo\n```\nDone.", "Done."),
    ("```\none\n\n\ntwo\n```\nDone.", "Done."),
    ("```sh\nmake run\n\t\n ```\t\nDone.", "make run\nDone."),
    ("~~~\r\nmake run\r\n~~~\r\nDone.", "make run\nDone."),
    ("It&#8217;s &#x27;so&#X27;, caf&eacute; &copy; 2 &times; &frac12;&NewLine;a",
     "It’s 'so', café © 2 × ½\na"),
    ("See www.example.com/a/b?x=1, or WWW.Example.org.", "See example.com, or Example.org."),
    ("HTTPS://EXAMPLE.COM/x and Http://a.example/", "EXAMPLE.COM and a.example"),
    ("看https://ja.wikipedia.org/wiki/日本語。好", "看ja.wikipedia.org。好"),
    ("看https://ja.wikipedia.org/wiki/日本語_(曖昧)よ", "看ja.wikipedia.org曖昧)よ"),
    ("看https://例え.jp/x 好", "看例え.jp 好"),
    ("https://a.example/b에서 봐요", "a.example에서 봐요"),
    ("It is so[^1].\n\n[^1]: A note\n  [^b]: B", "It is so.\nA note\nB"),
    ("<table><tr><td>a</td><td>b</td></tr>\n<tr>\n  <th>c</th>\n  <th x=1>d</th></tr></table>",
     "a, b\nc\nd"),
    ("<td>a</td> <td>b</td>", "a , b"),
    ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字と<RUBY>a<RT>b</RUBY>", "漢字とa"),
    ("<input disabled>Hi<details open><video controls src='x'/>Ho</details>", "HiHo"),
    ("Open `a`, __init__.py and __main__.py.", "Open a, __init__.py and __main__.py."),
    ("__Menu__. And __that__.", "Menu. And that."),
]  # fmt: skip

AS_IT_IS = [
    "f(*args), g(*args)", "f(*a, **b), g(*a, **b)", "а*б*в", "α*β*γ", "é*è*ê", "&nothing; &#; &x",
    "__init__.py", "www", "www.", "a www b", "me@www.example", "awww.nice", "<b and c>",
    "2 * 3 * 4 = 24", "2*3*4", "2**3**4", "a * b", "x**2", "snake_case", "a_b and c_d", "C# and F#",
    "#1 and #hashtag", "5 > 3 and 3 < 5", "a<b and c>d", "*args and **kwargs", "*args",
    "a 5* hotel, a 4* one", "f*** you", "~5 minutes", "C:\\path", "AT&T and R&D", "[1] and [a]",
    "arr[0](x)", "List<String> x", "x | y", "I <3 you", "Bonjour !", "Wait... what?!", "_private",
    "use *args " + "here and " * 40 + "there",
    "-5 degrees", "— Hello", ":-) Hi", "_ _", "😀 Hi", "it's 'so'", "http is old", "h", "the https",
    ">= 5 items", "a = b == c", "10 - 3 = 7", "3 + 4", "50% & more", "!important", "1. One",
]  # fmt: skip


def lines(text: str) -> str:
    """Without empty lines and the white space around each."""
    return "\n".join(line.strip() for line in text.split("\n") if line.strip())


WHITE_SPACE = [chr(point) for point in range(0x3001) if chr(point).isspace() and point != 10]


@pytest.mark.parametrize("space", WHITE_SPACE, ids=lambda space: f"U+{ord(space):04X}")
def test_white_space_of_any_kind_is_no_fault(space: str, caplog: pytest.LogCaptureFixture) -> None:
    written = f"|{space}Tea{space}|{space}5{space}€{space}|{space}\n|{space}-{space}|\n|{space}|"
    assert lines(spoken(*written).text) == f"Tea, 5{space}€"
    assert not caplog.records


def test_a_fault_costs_the_marks_and_not_the_reply(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: SpokenText) -> None:
        raise LookupError("secret words")

    monkeypatch.setattr(SpokenText, "_tag", fail)
    written = "**Menu** and <b>*soup*</b>\n# End"
    text = spoken(*written)
    assert text.text == "Menu and <b>*soup*</b>\n# End"
    assert [written[start:end] for _, start, end in places(text)][-5:] == [*"# End"]
    assert "LookupError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(("written", "read"), READ)
def test_speech_gets_words(written: str, read: str) -> None:
    assert lines(spoken(written).text) == read


@pytest.mark.parametrize("text", AS_IT_IS)
def test_what_only_looks_like_a_mark_is_text(text: str) -> None:
    assert spoken(text).text == text
    assert spoken(f"So {text}, then.").text == f"So {text}, then."


@pytest.mark.parametrize("written", [written for written, _ in READ] + AS_IT_IS)
def test_any_cut_into_tokens_gives_the_same(written: str) -> None:
    whole = places(spoken(written))
    assert places(spoken(*written)) == whole
    for cut in range(len(written)):
        assert places(spoken(written[:cut], written[cut:])) == whole
    chance = random.Random(written)
    for _ in range(20):
        cuts = sorted(chance.sample(range(len(written) + 1), min(4, len(written))))
        tokens = [written[a:b] for a, b in itertools.pairwise([0, *cuts, len(written)])]
        assert places(spoken(*tokens)) == whole


MARKS = (
    "* ** _ ~~ ` ``` # > | [ ]( ) <b> < > https://a.b/c &amp; & \\ ! a 12 。你 --- [^1] h http "
    "<!-- --> = 1. www. www.a.b &#x41; &Tab; &#1; <td> <rt> </rt> __a__. W Ж"
)
MARKED = st.lists(
    st.sampled_from(
        [
            *MARKS.split(),
            *"\t\r\u00a0\u202f\u3000\x0b\x0c\x85\u2028",
            "```\n",
            "~~~\n",
            "|-|\n",
            "\n",
            "\n\n",
            "- ",
            "# ",
            "> ",
            "Word ",
            " ",
            "1. ",
            "x" * 90,
        ]
    ),
    max_size=25,
).map("".join)


@given(MARKED, st.lists(st.integers(1, 9), min_size=1, max_size=6))
@example("*" + "x" * 250 + "*", [3])
@example("[" + "x" * 250 + "](y)", [7])
def test_any_marks_in_any_tokens_give_the_same(written: str, sizes: list[int]) -> None:
    tokens, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= len(written):
            break
        tokens.append(written[at : at + size])
        at += size
    assert places(spoken(*tokens)) == places(spoken(written))


@given(MARKED)
def test_what_is_spoken_stands_in_order_in_what_was_written(written: str) -> None:
    text = spoken(written)
    assert text.written == written
    at = 0
    for index, char in enumerate(text.text):
        start, end = text.start(index), text.end(index)
        assert at <= start <= end <= len(written)
        if end == start + 1 and written[start] != "|":
            assert char in (written[start], " ", "\n")
        at = end


@given(st.text("abc DEF,.?'\"():;%$é你。0123456789-", max_size=200))
def test_plain_text_is_passed_on_at_once(text: str) -> None:
    passed = SpokenText()
    plain = f"So {text}z".replace("h", "")
    assert [passed.feed(char) for char in plain] == [*plain]


@pytest.mark.parametrize("begun", ["**Sure", "[the docs", "_Sure", "See <b", "`", "> ", "# "])
def test_nothing_is_held_back_for_long(begun: str) -> None:
    text = SpokenText()
    text.feed(begun)
    text.feed("x" * (LOOKAHEAD_CHARS + 300) + " ")
    assert len(text.text) > LOOKAHEAD_CHARS


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("*walks slowly over to the window of the room and looks", "walks slowly over"),
        ("**Walks slowly over to the window of the room and looks", "Walks slowly over"),
        ("[note: this is a draft and it may change at any time now", "[note: this"),
        ("\n  _walks slowly over to the window of the room and looks", "\n  walks slowly over"),
    ],
)
def test_before_the_first_word_little_is_held_back(written: str, read: str) -> None:
    text = SpokenText()
    text.feed(written[: FIRST_LOOKAHEAD_CHARS + 8])
    assert text.text.startswith(read)
    text.feed(written[FIRST_LOOKAHEAD_CHARS + 8 :] + "*")
    text.finish()
    assert text.text.count("*") + text.text.count("_") <= 1


@pytest.mark.parametrize("mark", ["`", "~", "*", "_", "#", "-", "=", "|", "[", "<", "&", "!", "\\"])
def test_a_long_run_of_marks_costs_no_more_than_a_look_at_each(mark: str) -> None:
    looks = 0

    class Counted(SpokenText):
        def _char(self, ahead: int = 0) -> str:
            nonlocal looks
            looks += 1
            return super()._char(ahead)

    text = Counted()
    for _ in range(1_000):
        text.feed(mark * 2)
    text.finish()
    assert looks < 2_000 * 10


def test_a_spoken_word_names_its_place_with_the_marks_behind_it() -> None:
    text = spoken("Eat **soup**, [now](https://a.example).")
    at = text.text.index("soup")
    assert text.written[text.start(at) : text.end(at + 3)] == "soup**"
    at = text.text.index("now")
    assert text.written[text.start(at) : text.end(at + 2)] == "now](https://a.example)"
