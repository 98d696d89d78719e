"""Codes of languages: whatever a vendor writes is found as the deployment spells it."""

from __future__ import annotations

import pytest

from parley.sessions.settings_policy import DEFAULT_LANGUAGES
from parley.text.languages import find_language, normalise_language


@pytest.mark.parametrize(
    ("code", "normal"),
    [
        ("en", "en"),
        ("eng", "en"),
        ("en-US", "en"),
        ("EN_us", "en"),
        (" de ", "de"),
        ("deu", "de"),
        ("ger", "de"),
        ("zh-Hans-CN", "zh"),
        ("cmn", "zh"),
        ("yue", "yue"),
        ("nb-NO", "no"),
        ("tl", "fil"),
        ("iw", "he"),
        ("", ""),
        ("english", ""),
        ("e", ""),
        ("12", ""),
        ("дe", ""),
        ("-en", ""),
    ],
)
def test_a_language_has_one_code(code: str, normal: str) -> None:
    assert normalise_language(code) == normal
    assert normalise_language(normal) == normal


@pytest.mark.parametrize("code", DEFAULT_LANGUAGES)
def test_the_usual_codes_are_normal_ones(code: str) -> None:
    assert normalise_language(code) == code


@pytest.mark.parametrize(
    ("code", "known", "found"),
    [
        ("deu", ("en", "de"), "de"),
        ("de", ("eng", "deu"), "deu"),
        ("fr", ("en", "de"), ""),
        ("", ("en", "de"), ""),
        ("tgl", ("fil",), "fil"),
        ("fil", ("tl",), "tl"),
    ],
)
def test_a_language_is_found_as_it_is_spelt(code: str, known: tuple[str, ...], found: str) -> None:
    assert find_language(code, known) == found
