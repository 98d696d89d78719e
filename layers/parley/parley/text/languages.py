"""Codes of languages, as each vendor spells them.

One language has several codes: `en`, `eng`, `en-US`; `de`, `deu`, `ger`. Sessions have whichever
the deployment names.
"""

from __future__ import annotations

from collections.abc import Iterable

_CODES = """
aar:aa abk:ab afr:af aka:ak alb:sq amh:am ara:ar arb:ar arg:an arm:hy asm:as ava:av aym:ay
aze:az azj:az bak:ba bam:bm baq:eu bel:be ben:bn bih:bh bis:bi bod:bo bos:bs bre:br bul:bg
bur:my cat:ca ces:cs cha:ch che:ce chi:zh chv:cv cmn:zh cor:kw cos:co cre:cr cym:cy cze:cs
dan:da deu:de div:dv dut:nl dzo:dz ekk:et ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo
fas:fa fij:fj fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka ger:de gla:gd gle:ga glg:gl glv:gv
gre:el grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig
ice:is ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl
kan:kn kas:ks kat:ka kau:kr kaz:kk khk:mn khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko
kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg lvs:lv mac:mk
mah:mh mal:ml mao:mi mar:mr may:ms mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na
nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:no nob:no nor:no npi:ne nya:ny oci:oc oji:oj
ori:or orm:om ory:or oss:os pan:pa per:fa pes:fa pli:pi pol:pl por:pt pus:ps que:qu roh:rm
ron:ro rum:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slo:sk slv:sl sme:se smo:sm sna:sn
snd:sd som:so sot:st spa:es sqi:sq srd:sc srp:sr ssw:ss sun:su swa:sw swe:sv swh:sw tah:ty
tam:ta tat:tt tel:te tgk:tg tgl:fil tha:th tib:bo tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr
twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz ven:ve vie:vi vol:vo wel:cy wln:wa wol:wo xho:xh
yid:yi yor:yo zha:za zho:zh zsm:ms zul:zu
in:id iw:he ji:yi nb:no nn:no tl:fil
"""
"""Codes of ISO 639-2 and -3, each with the one of ISO 639-1. The last line has older codes, written
forms of one spoken language, and Tagalog, which vendors call Filipino."""
_SHORTEST = dict(pair.split(":") for pair in _CODES.split())


def normalise_language(code: str) -> str:
    """Return the shortest ISO 639 code of a language; empty for what is no code.

    Args:
        code: of ISO 639, perhaps with a script or a region behind it, e.g. `eng` or `en-US`.
    """
    language = code.strip().lower().replace("_", "-").partition("-")[0]
    if not (language.isascii() and language.isalpha() and len(language) in (2, 3)):
        return ""
    return _SHORTEST.get(language, language)


def find_language(code: str, known: Iterable[str]) -> str:
    """Return which of the known codes names a language, as it is spelt there; empty if none
    does."""
    wanted = normalise_language(code)
    if not wanted:
        return ""
    return next((each for each in known if normalise_language(each) == wanted), "")
