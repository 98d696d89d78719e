"""Words whose full stop does not end a sentence, and languages in which a number's does not.

A list is worth its lines where a cut would be heard: `Dr.` and a pause, then the name. Words that
are others in another language stand only with their own.
"""

from __future__ import annotations

from functools import cache

_ANYWHERE = """
    dr mr mrs ms prof jr hon gov sen rep pres mt ft vol fig approx dept inc ltd corp bros vs cf
    eds pp sgt lt rev capt gen col st sr est co
    bzw ca ggf bzgl zzgl inkl bspw sog mme mlle sra srta dott bijv tzn mgr
"""
"""Common ones, which no language has as a word at the end of a sentence, or rarely."""
_OF_LANGUAGE = {
    "cs": "např tzv resp atd apod str č tj ing mudr judr",
    "da": "fx bl osv kl ca nr f.eks s.u",
    "de": "hr fr frl dipl ing nr abs art max min mind tel mio mrd geb gest kap abb evtl etc str "
    "jan feb apr jun jul aug sept okt nov dez mo di mi do sa so usw",
    "es": "sr sra srta dra ud uds pág núm av ej etc",
    "fi": "esim ks mm ns klo nro n",
    "fr": "m mm mme mlle mlles me mgr av bd env éd etc",
    "hr": "npr tzv sv itd br",
    "hu": "pl kb ún stb sz dr özv",
    "it": "sig sigg dott avv ing geom arch pag art ecc",
    "nb": "bl osv kl ca nr f.eks",
    "nl": "dhr mevr mw bijv enz incl evt ca nr blz",
    "pl": "np tj tzn tzw ul mgr inż ks św im r w godz str tys mln mld",
    "pt": "sr sra srta dra av pág núm etc",
    "ru": "т е д п г гг ул им см стр напр руб коп тыс млн млрд гр др проф акад",
    "sk": "napr tzv resp atď str č",
    "sv": "bl osv kl ca nr t.ex d.v.s dvs",
    "tr": "vb vs bkz sok cad dr prof",
    "uk": "т е д п р рр вул ім див стор напр грн коп тис млн млрд гр др проф",
}
_AS_ISO_639_2 = {
    "ces": "cs", "cze": "cs", "dan": "da", "deu": "de", "ger": "de", "est": "et", "eus": "eu",
    "baq": "eu", "fin": "fi", "fra": "fr", "fre": "fr", "hrv": "hr", "hun": "hu", "isl": "is",
    "ice": "is", "ita": "it", "lav": "lv", "nld": "nl", "dut": "nl", "nob": "nb", "nno": "nn",
    "nor": "nb", "no": "nb", "pol": "pl", "por": "pt", "rus": "ru", "slk": "sk", "slo": "sk",
    "slv": "sl", "spa": "es", "srp": "sr", "swe": "sv", "tur": "tr", "ukr": "uk", "bos": "bs",
    "ell": "el", "gre": "el", "fao": "fo", "ltz": "lb", "lit": "lt",
}  # fmt: skip
ORDINAL_LANGUAGES = frozenset(
    {"bs", "cs", "da", "de", "et", "eu", "fi", "fo", "hr", "hu", "is", "lb", "lv", "nb", "nn"}
    | {"pl", "sk", "sl", "sr", "tr"}
)
"""`3.` is "the third" there (CLDR, ordinal formats and dates)."""
MAX_ORDINAL_DIGITS = 3
"""What has more is a year, which may well end a sentence."""


def two_letters(language: str) -> str:
    """Return a language's code as ISO 639-1 has it, without its region, as far as it is known."""
    code = language.replace("_", "-").partition("-")[0].lower()
    return _AS_ISO_639_2.get(code, code)


@cache
def abbreviations(language: str) -> frozenset[str]:
    """Return the abbreviations of a language (two letters, or none), in small letters."""
    return frozenset(_ANYWHERE.split()) | frozenset(_OF_LANGUAGE.get(language, "").split())
