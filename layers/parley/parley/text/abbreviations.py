"""Words whose full stop ends no sentence, and languages in which a number's ends none.

A word is listed where a cut would be heard: `Dr.`, a pause, then the name. A word that means
something else in another language is listed only with its own. A word that is listed with a capital
counts only with a capital: `Mo.` is a Monday, `so.` is a word.
"""

from __future__ import annotations

from functools import cache

_ANYWHERE = """
    dr mr mrs prof jr mt ft fig dept inc ltd bros vs cf eds pp sgt lt
    bzw ca ggf bzgl zzgl inkl bspw sog mme mlle sra srta dott bijv tzn mgr
    डॉ प्रो श्री திரு திருமதி Պրն Տկն პროფ др проф κα κος
"""
"""Common abbreviations that no language, or hardly any, has as a word at the end of a sentence."""
_OF_LANGUAGE = {
    "bg": "напр др проф г ул стр",
    "ca": "núm pàg sr sra av etc",
    "cs": "např tzv resp atd apod str č tj ing mudr judr Bc Mgr phdr nám sv",
    "da": "fx bl osv kl ca nr f.eks s.u",
    "de": "hr fr frl dipl ing nr abs Art Max Min Mind tel Mio mrd geb gest kap abb evtl etc str "
    "Jan Feb Apr Jun Jul Aug Sept Okt Nov Dez Mo Di Mi Do Sa So usw Mag med rer nat Std Chr Co",
    "el": "κ κα κος δρ π.χ",
    "en": "ms hon Gov Sen Rep Pres vol approx corp Rev Capt Gen Col St Sr est Co Maj Ave Blvd Rd "
    "Messrs al ext",
    "es": "sr sra srta dra ud uds pág núm Av ej etc Lic dña Avda EE",
    "fi": "esim ks mm ns klo nro n",
    "fr": "m mm mme mlle mlles me mgr av Bd env éd etc St Ste",
    "hr": "npr tzv sv itd br",
    "hu": "pl kb ún stb sz dr özv",
    "id": "jl bpk",
    "it": "sig sigg dott avv ing geom arch pag Art ecc",
    "nb": "bl osv kl ca nr f.eks",
    "nl": "dhr mevr mw bijv enz incl evt ca nr blz ir drs resp",
    "pl": "np tj tzn tzw ul mgr inż ks św im r w godz str tys mln mld hab al ur",
    "pt": "sr sra srta dra av pág núm etc exmo exma",
    "ro": "dl dna str nr",
    "ru": "т е д п г гг ул им см стр напр руб коп тыс млн млрд гр др проф акад кв рис обл",
    "sk": "napr tzv resp atď str č",
    "sv": "bl osv kl ca nr t.ex d.v.s dvs",
    "tr": "vb vs bkz sok cad dr prof doç av mah",
    "uk": "т е д п р рр вул ім див стор напр грн коп тис млн млрд гр др проф кв обл",
    "vi": "tp",
}
_BEFORE_NUMBERS = """
    no nos nr str art abs tel ext vol fig ch chap sec ed est p pp núm nº pág pag blz bd kap č
    approx min max ver par eq tab app apt ste rm kl bl lok стр рис гл п ст ул д кв
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
"""
"""Abbreviations in front of a number: `No. 5`, `vol. 3`, `Jan. 5`. Without a number they are words,
or end a sentence."""
_AS_ISO_639_2 = {
    "ces": "cs", "cze": "cs", "dan": "da", "deu": "de", "ger": "de", "est": "et", "eus": "eu",
    "baq": "eu", "fin": "fi", "fra": "fr", "fre": "fr", "hrv": "hr", "hun": "hu", "isl": "is",
    "ice": "is", "ita": "it", "lav": "lv", "nld": "nl", "dut": "nl", "nob": "nb", "nno": "nn",
    "nor": "nb", "no": "nb", "pol": "pl", "por": "pt", "rus": "ru", "slk": "sk", "slo": "sk",
    "slv": "sl", "spa": "es", "srp": "sr", "swe": "sv", "tur": "tr", "ukr": "uk", "bos": "bs",
    "ell": "el", "gre": "el", "fao": "fo", "ltz": "lb", "lit": "lt", "eng": "en", "sqi": "sq",
    "alb": "sq", "mkd": "mk", "mac": "mk", "bul": "bg", "cat": "ca", "ron": "ro", "rum": "ro",
    "vie": "vi", "ind": "id",
}  # fmt: skip
ORDINAL_LANGUAGES = frozenset(
    {"bs", "cs", "da", "de", "et", "eu", "fi", "fo", "hr", "hu", "is", "lb", "lv", "nb", "nn"}
    | {"pl", "sk", "sl", "sr", "tr", "bg", "mk", "sq", "gsw", "nds", "hsb", "dsb"}
)
"""Languages in which `3.` means "the third" (CLDR, ordinal formats and dates)."""
_SENTENCE_BEGINS = {
    "de": "aber alle als also am an auch auf aus außerdem bei beide bist bitte brauchen brauchst "
    "da damals damit danach dann darf darin das dazu deine dem den denn der deshalb dies diese "
    "doch dort du ein eine einer einige er es etwa falls für gern gerne gibt hast haben hat heute "
    "hier ich ihr im in insgesamt ist ja jetzt kann kannst kennen kennst können könnten könntest "
    "mit möchte möchten möchtest nach natürlich nein noch nun oder ob sag sagen seit sie sind so "
    "soll sollen sollten sonst und um viele vielleicht von vor war waren wann warum was weil "
    "welche wenn wer wie willst wir wo wollen zu zudem zum zur",
    "tr": "ama bana başka ben biz bu bunu bunun böyle daha devam eğer evet hangi hayır ister "
    "isterseniz istersen nasıl ne neden o onu onun peki sana sen siz size sonra şimdi şu ve "
    "yardımcı yani yoksa",
    "lb": "ass bass dat de dir du een ech et hien hues ma mir si soll wat wëlls",
    "gsw": "das de dir du er es ich isch mir si söll und was wottsch",
    "nds": "aver dat de du een he ik is se un wat wi wullt",
}
"""Words that begin a sentence after an ordinal. Any other word with a capital may follow the
ordinal: German nouns have one, and a Turkish ordinal is often in front of a name."""
MAX_ORDINAL_DIGITS = 3
"""A longer number is a year, which may well end a sentence."""


def two_letters(language: str) -> str:
    """Return the ISO 639-1 code of a language, without its region, as far as it is known."""
    code = language.replace("_", "-").partition("-")[0].lower()
    return _AS_ISO_639_2.get(code, code)


@cache
def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def is_abbreviation(word: str, language: str) -> bool:
    """Return whether a word is an abbreviation in a language (two letters; empty for English)."""
    last = word.rpartition("-")[2]  # `Dipl.-Ing`
    forms = {word, word.lower(), last, last.lower()}
    listed = _ANYWHERE, _OF_LANGUAGE.get(language or "en", "")
    return any(not forms.isdisjoint(_words(words)) for words in listed)


def precedes_number(word: str) -> bool:
    """Return whether a word is an abbreviation when a number follows: `No. 5`, `Hauptstr. 5`."""
    word = word.lower()
    return word in _words(_BEFORE_NUMBERS) or word.endswith(("nr", "str"))


def begins_sentence(word: str, language: str) -> bool | None:
    """Return whether a word with a capital, after a number with a full stop, begins a sentence.

    None in languages whose nouns have no capital: any word with a capital begins one.
    """
    listed = _SENTENCE_BEGINS.get(language)
    return None if listed is None else word.lower() in _words(listed)
