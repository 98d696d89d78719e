"""`AllowedPattern`: CloudFormation reads it as Java does."""

from __future__ import annotations

import time

import pytest

from samwire.template.intrinsics import TemplateError
from samwire.template.java_patterns import NotChecked, matches
from samwire.template.parameters import parameter_values


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"[a-z]+", "abc", "abc1"),
        (r"^[a-z]+$", "abc", "ABC"),
        (r"a++b", "aab", "a"),
        (r"(?>a+)b", "aab", "b"),
        (r"\p{Alpha}+", "abc", "ab1"),
        (r"\p{Alnum}{2,}", "a1", "a-"),
        (r"\p{Upper}\p{Lower}+\p{Digit}\p{Punct}", "Abc1!", "abc1!"),
        (r"\p{L}+", "größe", "a1"),
        (r"\P{L}+", "123", "12a"),
        (r"\p{Lu}\p{Ll}*", "Ötzi", "ötzi"),
        (r"\p{IsAlphabetic}+", "日本", "1"),
        (r"\p{IsGreek}+", "αβγ", "abc"),
        (r"\p{javaLowerCase}+", "abc", "Abc"),
        (r"[\p{Alpha}_]+", "a_b", "a-b"),
        (r"[a-d[m-p]]+", "am", "e"),
        (r"[a-z&&[^bc]]+", "ad", "ab"),
        (r"[a-z&&[def]]", "d", "a"),
        (r"[!--/]+", "-,/", "."),
        (r"[a||b]+", "a|b", "c"),
        (r"(?<year>\d{4})-\k<year>", "2026-2026", "2026-2025"),
        (r"(?i)abc", "ABC", "abd"),
        (r"\A\w+\Z", "word", "two words"),
        (r"\w+\z", "word", "a b"),
        (r"\Qa.b\E+", "a.bbb", "aXb"),
        (r"\Qa.b", "a.b", "axb"),
        (r"\x{41}\x42\0103", "ABC", "abc"),
        (r"a\hb", "a\tb", "a\nb"),
        (r"(?:a|b)*?c", "abac", "abad"),
        (r"(?=.*\d)(?=.*[a-z]).{4,}", "abc1", "abcd"),
        (r"\d{1,3}(\.\d{1,3}){3}", "10.0.0.1", "10.0.0"),
        (r"[\w.\-]+@[\w.\-]+", "a.b@c-d.e", "a@"),
        (r"", "", "a"),
    ],
)
def test_a_pattern_means_what_it_means_in_java(pattern: str, right: str, wrong: str) -> None:
    assert matches(pattern, right)
    assert not matches(pattern, wrong)


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2", "*", r"\p{NoSuchThing}", r"\p{javaNoSuch}"])
def test_a_pattern_that_is_not_understood_is_named_and_not_checked(pattern: str) -> None:
    if pattern == "a{2":
        assert not matches(pattern, "aa")  # literal braces, as in Python; Java refuses it
        return
    notices: list[str] = []
    declared = {"P": {"Type": "String", "Default": "x", "AllowedPattern": pattern}}
    assert parameter_values(declared, {}, notice=notices.append) == {"P": "x"}
    (notice,) = notices
    assert notice.startswith(f"P: its AllowedPattern {pattern} is not checked: it is not underst")


def test_a_pattern_that_takes_for_ever_is_given_up() -> None:
    began = time.process_time()
    with pytest.raises(NotChecked, match="it takes more than 1 s"):
        matches(r"(a|aa)+$", "a" * 60 + "b")
    assert time.process_time() - began < 30


def test_a_value_that_does_not_match_is_refused() -> None:
    declared = {"P": {"Type": "String", "AllowedPattern": r"\p{Alpha}++"}}
    with pytest.raises(TemplateError, match=r"The parameter P cannot be 'a1'"):
        parameter_values(declared, {"P": "a1"})
