"""Whisper's names of languages, and ISO 639 codes.

`verbose_json` names the language that was heard in English words, as Whisper's tokenizer has them
(openai/whisper, `tokenizer.py`); some servers send the code.
"""

from __future__ import annotations

import re

_NAMES = (
    "english:en chinese:zh german:de spanish:es russian:ru korean:ko french:fr japanese:ja "
    "portuguese:pt turkish:tr polish:pl catalan:ca dutch:nl arabic:ar swedish:sv italian:it "
    "indonesian:id hindi:hi finnish:fi vietnamese:vi hebrew:he ukrainian:uk greek:el malay:ms "
    "czech:cs romanian:ro danish:da hungarian:hu tamil:ta norwegian:no thai:th urdu:ur croatian:hr "
    "bulgarian:bg lithuanian:lt latin:la maori:mi malayalam:ml welsh:cy slovak:sk telugu:te "
    "persian:fa latvian:lv bengali:bn serbian:sr azerbaijani:az slovenian:sl kannada:kn "
    "estonian:et macedonian:mk breton:br basque:eu icelandic:is armenian:hy nepali:ne mongolian:mn "
    "bosnian:bs kazakh:kk albanian:sq swahili:sw galician:gl marathi:mr punjabi:pa sinhala:si "
    "khmer:km shona:sn yoruba:yo somali:so afrikaans:af occitan:oc georgian:ka belarusian:be "
    "tajik:tg sindhi:sd gujarati:gu amharic:am yiddish:yi lao:lo uzbek:uz faroese:fo pashto:ps "
    "turkmen:tk nynorsk:nn maltese:mt sanskrit:sa luxembourgish:lb myanmar:my tibetan:bo "
    "tagalog:fil malagasy:mg assamese:as tatar:tt hawaiian:haw lingala:ln hausa:ha bashkir:ba "
    "javanese:jv sundanese:su cantonese:yue mandarin:zh"
)
_CODES = dict(pair.split(":") for pair in _NAMES.split())
_OF_WHISPER = {"fil": "tl", "jv": "jw"}
"""Whisper's own codes where they differ: Tagalog, which Filipino is based on, and Javanese."""
_OURS = {theirs: ours for ours, theirs in _OF_WHISPER.items()}
_CODE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*")


def code_of(name: object) -> str:
    """Return the code of a language by its name or its tag; empty if it is none."""
    told = name.strip().lower() if isinstance(name, str) else ""
    if told in _CODES:
        return _CODES[told]
    found = _CODE.fullmatch(told)
    return _OURS.get(found[1], found[1]) if found else ""


def whisper_code(language: str) -> str:
    """Return the code that Whisper has for a language."""
    return _OF_WHISPER.get(language, language)
