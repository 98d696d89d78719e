"""Scripts without spaces: their smallest units, and how texts of them are joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.scripts import cluster_start, join_texts, unit_ends


def units(text: str) -> list[str]:
    ends = list(unit_ends(text))
    return [text[begin:end].strip() for begin, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two, three.", ["One", "two,", "three."]),
        ("今天天气。", ["今", "天", "天", "气。"]),
        ("我喜欢Python编程", ["我", "喜", "欢", "Python", "编", "程"]),
        ("２０２６年3月", ["２", "０", "２", "６", "年", "3", "月"]),
        ("「はい」と", ["「は", "い」", "と"]),
        ("ｶﾞｷﾞ", ["ｶﾞ", "ｷﾞ"]),
        ("か\u3099く", ["か\u3099", "く"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("เก่าแก่ กำ", ["เก่า", "แก่", "กำ"]),
        ("ເກົ່າ", ["ເກົ່າ"]),
        ("សួស្តី។", ["សួ", "ស្តី។"]),
        ("မင်္ဂလာပါ။", ["မ", "င်္ဂ", "လာ", "ပါ။"]),
        ("안녕 하세요", ["안녕", "하세요"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301"]),
        ("好👩‍👧吧", ["好👩‍👧", "吧"]),
        ("👍🏽 ok", ["👍🏽", "ok"]),
        ("", []),
    ],
)
def test_units(text: str, expected: list[str]) -> None:
    assert units(text) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["你好，我想", "订一张票。"], "你好，我想订一张票。"),
        (["你好", "订一张票", "谢谢"], "你好订一张票谢谢"),
        (["สวัสดี", "ครับ"], "สวัสดีครับ"),
        (["ສະບາຍດີ", "ທ່ານ"], "ສະບາຍດີທ່ານ"),
        (["សួស្តី", "អ្នក"], "សួស្តីអ្នក"),
        (["မင်္ဂလာပါ။", "နေကောင်း"], "မင်္ဂလာပါ။နေကောင်း"),
        (["こんにちは。", "ありがとう"], "こんにちは。ありがとう"),
        (["我喜欢", "Python"], "我喜欢Python"),
        (["안녕하세요.", "반갑습니다"], "안녕하세요. 반갑습니다"),
        (["One two.", "Three"], "One two. Three"),
        (["我想想……", "“好”"], "我想想……“好”"),
        (["你好—", "“在吗”"], "你好—“在吗”"),
        (["“你好”", "‘再见’"], "“你好”‘再见’"),
        (["你好😀", "再见"], "你好😀再见"),
        (["Well……", "“好”"], "Well……“好”"),
        (["Well…", "“Good”"], "Well… “Good”"),
        (["«Да»", "— Нет"], "«Да» — Нет"),
        (["……", "—"], "…… —"),
        (["你好!", "Hello"], "你好! Hello"),
        (["", "One", "", "two", ""], "One two"),
        ([], ""),
    ],
)
def test_texts_are_joined_with_a_space_where_their_script_has_any(
    texts: list[str], expected: str
) -> None:
    assert join_texts(texts) == expected


@given(st.text("aé ́你กำเ่က္ခ👩‍👧.", max_size=30))
def test_units_are_the_text_without_its_white_space(text: str) -> None:
    assert "".join("".join(units(text)).split()) == "".join(text.split())


@given(st.text("aé ́กำเ่က္ခ👩‍👧", min_size=1, max_size=30), st.integers(0, 30))
def test_no_cut_parts_a_character_from_what_belongs_to_it(text: str, index: int) -> None:
    place = cluster_start(text, min(index, len(text)))
    assert 0 <= place <= index
    if 0 < place < len(text):
        assert text[place] not in "\u0301ำ္่‍"
