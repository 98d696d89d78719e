"""Patterns of the marks of Markdown and HTML, and of addresses, in the text of a reply."""

from __future__ import annotations

import re

PLAIN = re.compile(r"[^\\`*_~!\[<&#|\n]+")
IN_CELL = re.compile(r"[^\\`*_~!\[<&#|\s]+")
IN_CODE = re.compile(r"[^`\n]+")
_SCHEME = r"(?:[Hh][Tt]{2}[Pp][Ss]?://|(?<![@./-])[Ww]{3}\.(?=[^\W_]))"
ADDRESS_BEGINS = re.compile(rf"(?<![A-Za-z0-9]){_SCHEME}")
MAY_BEGIN_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])(?:[Hh](?:[Tt](?:[Tt](?:[Pp](?:[Ss]?(?::/?/?)?)?)?)?)?"
    r"|(?<![@./-])[Ww]{1,3}\.?)\Z"
)
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
ADDRESS = (
    rf"{_SCHEME}(?:[^\s<>\"`|\\^{{}}\[\]\u3000-\u303f\uff00-\uffef{_IDEOGRAPHS}]+"
    rf"|(?<=[/=_#])[{_IDEOGRAPHS}]+)+"
)
"""A web address. After a slash it may contain words of scripts without spaces; elsewhere such a
word ends it."""
HOST = r"(?:[Hh][Tt]{2}[Pp][Ss]?://)?(?:[^/?#@]*@)?(?:[Ww]{3}\.)?([^/?#]+)"
AFTER_ADDRESS = ".,;:!?'*_~)"
LINK_TARGET = (
    r"\(\s*(?:<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)"
    r"(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)"
)
LINK_TARGET_SO_FAR = r"\(\s*(?:<[^<>\n]*>?|\S*)(?:\s+(?:[\"'][^\n]*)?)?"
_TAG_NAMES = (
    "a|abbr|article|aside|audio|b|big|blockquote|br|button|caption|center|cite|code|col|colgroup|"
    "dd|del|details|dfn|div|dl|dt|em|figcaption|figure|font|footer|form|h[1-6]|header|hr|i|iframe|"
    "img|input|ins|kbd|label|li|main|mark|nav|ol|option|p|picture|pre|q|rb|rp|rt|rtc|ruby|s|samp|"
    "section|select|small|source|span|strike|strong|sub|summary|sup|svg|table|tbody|td|textarea|"
    "tfoot|th|thead|time|tr|tt|u|ul|var|video|wbr"
)
_ATTRIBUTES_ALONE = (
    "allowfullscreen|async|autoplay|checked|controls|defer|disabled|hidden|loop|multiple|muted|"
    "nowrap|open|readonly|required|reversed|selected"
)
_ATTRIBUTE = (
    r"(?:[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=]+)"
    rf"|(?:{_ATTRIBUTES_ALONE})(?=[\s/>]))"
)
TAG = rf"</?({_TAG_NAMES})(?:\s+{_ATTRIBUTE})*\s*/?>"
TAG_SO_FAR = rf"<[/!]?[^\s<>]*|</?(?:{_TAG_NAMES})\s[^<>]*"
LINES = "|blockquote|br|caption|dd|div|dt|figcaption|h1|h2|h3|h4|h5|h6|hr|li|p|pre|table|tr|"
"""Tags that begin a new line, which is a pause in speech."""
SILENT_TAGS = frozenset({"rp", "rt", "rtc"})
"""Tags of ruby text: how a word is pronounced, next to the word."""
IN_ANGLES = r"<(?:[Hh]ttps?://[^\s<>]*|[A-Za-z][\w.+-]*@[\w.-]+)>"
ENTITY = r"&(?:[A-Za-z][A-Za-z0-9]{1,8}|#\d{1,7}|#[xX][0-9A-Fa-f]{1,6});"
ENTITY_SO_FAR = r"&(?:[A-Za-z][A-Za-z0-9]{0,8}|#\d{0,7}|#[xX][0-9A-Fa-f]{0,6})?"
ESCAPABLE = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
BULLET = r"(?:[-*+]|[•◦▪‣●])[ \t]+(?:\[[ xX]\][ \t]+)?|[•◦▪‣●]"


def is_space(char: str) -> bool:
    """Return whether a character is white space that ends no line, such as a no-break space."""
    return char.isspace() and char != "\n"


def may_close(run: str, before: str, following: str) -> bool:
    """Return whether a run of emphasis marks may end emphasis, by the characters around it."""
    if not before or before.isspace():
        return False
    if run[0] == "_":
        return not following.isalnum()
    if len(run) > 1:
        return not (is_cased(before) and following.isdigit())
    if before in "([{" and following.isalnum():
        return False  # `f(*args), g(*args)`
    return not (is_cased(before) and is_cased(following))


def may_open(run: str, before: str, following: str) -> bool:
    """Return whether a run of emphasis marks may begin emphasis, by the characters around it."""
    if not following or following.isspace():
        return False
    if run[0] == "_":
        return not before.isalnum()
    if len(run) > 1:
        return not (before.isdigit() or (is_cased(before) and following.isdigit()))
    return not is_cased(before)


def is_cased(char: str) -> bool:
    """Return whether a star between such characters is a sign: `a*b`, `а*б`, `2*3`."""
    return char.isdecimal() or char.upper() != char.lower()
