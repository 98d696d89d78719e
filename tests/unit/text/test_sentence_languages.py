"""Where a reply is cut for speaking: lists, ordinals, names, quotes, every script's marks.

Each case is a reply as its tokens stream, `|` between them, and the pieces that are spoken.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.text.sentence_splitter import MAX_CHARS, SentenceSplitter


def cut(tokens: list[str], language: str = "") -> list[str]:
    splitter = SentenceSplitter(language)
    pieces = [piece for token in tokens for piece in splitter.feed(token)]
    return pieces + splitter.flush()


def as_streamed(case: str) -> list[str]:
    return case.replace("\\n", "\n").split("|")


LISTS = [
    (r"Here is it:\n|1|.| Apples|\n|2|.| Pears", ["Here is it:", "1. Apples", "2. Pears"]),
    ("Three steps.| 1|.| Open it|.", ["Three steps.", "1. Open it."]),
    ("Two steps:| 1|.| Open it|.| 2|.| Close it|.",
     ["Two steps:", "1. Open it.", "2. Close it."]),
    (r"Steps:\n|1|)| Open it|.\n|2|)| Close it|.", ["Steps:", "1) Open it.", "2) Close it."]),
    (r"Choose:\n|a|.| Tea|\n|b|.| Milk", ["Choose:", "a. Tea", "b. Milk"]),
    (r"Parts:\n|ii|.| Tea|\n|iv|.| Milk", ["Parts:", "ii. Tea", "iv. Milk"]),
    (r"Say:\n|10|.| Ten|\n|11|.| Eleven", ["Say:", "10. Ten", "11. Eleven"]),
    ("Buy 1|.| Apples 2|.| Pears", ["Buy 1.", "Apples 2.", "Pears"]),
    (r"1|.| Apples 2|.| Pears", ["1. Apples 2. Pears"]),
    (r"列表：\n|1|.|苹果\n|2|.|香蕉", ["列表：", "1.苹果", "2.香蕉"]),
    (r"列表：\n|1|、|苹果\n|2|、|香蕉", ["列表：", "1、苹果", "2、香蕉"]),
]  # fmt: skip


@pytest.mark.parametrize(("case", "pieces"), LISTS)
def test_a_number_stays_with_its_item(case: str, pieces: list[str]) -> None:
    assert cut(as_streamed(case)) == pieces


@pytest.mark.parametrize(
    ("language", "case"),
    [
        ("de", "Wir sehen uns am| |3|.| Juni in Berlin|."),
        ("de", "Im| 19|.| Jahrhundert war das so|."),
        ("deu", "Das ist die| 2|.| Auflage davon|."),
        ("de-AT", "Das ist die| 2|.| Auflage davon|."),
        ("da", "Vi ses den| 3|.| juni|."),
        ("no", "Vi ses den| 17|.| mai|."),
        ("nb", "Vi ses den| 17|.| mai|."),
        ("fi", "Tapaamme| 3|.| kesäkuuta|."),
        ("cs", "Sejdeme se| 3|.| června|."),
        ("sk", "Stretneme sa| 3|.| júna|."),
        ("pl", "Spotkamy się| 3|.| czerwca|."),
        ("hu", "Találkozunk június| 3|.| napján|."),
        ("hr", "Vidimo se| 3|.| lipnja|."),
        ("sl", "Vidimo se| 3|.| junija|."),
        ("et", "Kohtume| 3|.| juunil|."),
        ("lv", "Tiekamies| 3|.| jūnijā|."),
        ("is", "Sjáumst| 3|.| júní|."),
        ("tr", "Bu| 2|.| Dünya Savaşı|."),
        ("", "Tapaamme| 3|.| kesäkuuta|."),  # a small letter goes on in any language
    ],
)
def test_an_ordinal_does_not_end_a_sentence(language: str, case: str) -> None:
    tokens = as_streamed(case)
    assert cut(tokens, language) == ["".join(tokens)]


@pytest.mark.parametrize(
    ("language", "case", "pieces"),
    [
        ("en", "We have| 3|.| She has| 4|.", ["We have 3.", "She has 4."]),
        ("", "It was| 1990|.| Then it rained|.", ["It was 1990.", "Then it rained."]),
        ("de", "Das war| 1990|.| Dann kam Regen|.", ["Das war 1990.", "Dann kam Regen."]),
    ],
)
def test_a_number_may_end_a_sentence(language: str, case: str, pieces: list[str]) -> None:
    assert cut(as_streamed(case), language) == pieces


NAMES = [
    "It is called| Node|.|js| and good|.",
    "Go to| www|.|example|.|com| now|.",
    "Write to| help|@|example|.|org| now|.",
    "Run| main|.|py| first|.",
    "Read| report|.|final|.|pdf| first|.",
    "We have| v|2|.|0|.|1| now|.",
    "Use| .|NET| 8|.",
    "Use| .|5| of it|.",
    "The host is| 192|.|168|.|0|.|1| at home|.",
    "She has a| Ph|.|D|.| in physics|.",
    "Call me at| 5| p|.|m|.| today|.",
    "It is in the| U|.|S|.| too|.",
    "Fruit,".replace(",", "") + " e|.|g|.| apples|.",
    "Take| No|.| 5| of them|.",
    "It costs| 3|.|5| euros|.",
    "Take| 1|,|000| of them|.",
    "Come at| 10|:|30| then|.",
    "Take| ３|，|０００| of them|.",
]


@pytest.mark.parametrize("case", NAMES)
def test_a_name_with_dots_is_one_piece_whatever_its_tokens_are(case: str) -> None:
    whole = "".join(as_streamed(case))
    assert cut(as_streamed(case)) == [whole]
    assert cut([*whole]) == [whole]
    assert cut([whole]) == [whole]


@pytest.mark.parametrize(
    ("language", "case"),
    [
        ("de", "Das gilt| z|.| B|.| hier|."),
        ("de", "Das gilt| d|.|h|.| hier|."),
        ("de", "Das sind| ca|.| zehn bzw|.| elf|."),
        ("de", "Das macht| Hr|.| Meier aus der Goethestr|.| 5|."),
        ("fr", "Voici| Mme|.| Dupont|."),
        ("fr", "Voici| M|.| Dupont|."),
        ("es", "Aquí está la| Sra|.| Gómez|."),
        ("it", "Ecco il| dott|.| Rossi|."),
        ("pt", "Aqui está a| Sra|.| Gomes|."),
        ("nl", "Neem| bijv|.| dit|."),
        ("sv", "Tag| t|.|ex|.| detta|."),
        ("pl", "Weź| np|.| to|."),
        ("cs", "Vezmi| např|.| to|."),
        ("ru", "Возьми| напр|.| это и т|.|д|.| сегодня|."),
        ("en", "Ask| Dr|.| Smith|."),
        ("", "Ask| Prof|.| Smith|."),
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(language: str, case: str) -> None:
    tokens = as_streamed(case)
    assert cut(tokens, language) == ["".join(tokens)]


def test_a_word_that_is_an_abbreviation_elsewhere_ends_a_sentence() -> None:
    assert cut(as_streamed("I love art|.| You too|."), "en") == ["I love art.", "You too."]


@pytest.mark.parametrize(
    ("case", "pieces"),
    [
        ('She said "yes|.|"| Then she left|.', ['She said "yes."', "Then she left."]),
        ('She said "Stop|!|"| Then she left|.', ['She said "Stop!"', "Then she left."]),
        ('She said "Yes|.| I do|.|"| Then she left|.',
         ['She said "Yes.', 'I do."', "Then she left."]),
        ("She said “Stop|!|”| Then she left|.", ["She said “Stop!”", "Then she left."]),
        ("Sie sagte „Halt|!|“| Dann ging sie|.", ["Sie sagte „Halt!“", "Dann ging sie."]),
        ("Sie sagte »Halt|!|«| Dann ging sie|.", ["Sie sagte »Halt!«", "Dann ging sie."]),
        ("Elle dit « Stop| !| »| Puis elle part|.", ["Elle dit « Stop ! »", "Puis elle part."]),
        ("他说「好。|」|然后走了。", ["他说「好。」", "然后走了。"]),
        ("他说『好！|』|然后走了。", ["他说『好！』", "然后走了。"]),
        ("他说“好。|”|然后走了。", ["他说“好。”", "然后走了。"]),
        ("他走了。|“好。|”|她说。", ["他走了。", "“好。”", "她说。"]),
        ("他来了（真的。|）|然后走了。", ["他来了（真的。）", "然后走了。"]),
        ("It rained (a lot!|)| Then it stopped|.", ["It rained (a lot!)", "Then it stopped."]),
        ("It is so|.|[1]| Then it stopped|.", ["It is so.[1]", "Then it stopped."]),
        ('“Yes|,|”| she said|.', ["“Yes,”", "she said."]),
        ("»|Nein|!|«|, rief er|.", ["»Nein!«,", "rief er."]),
        ("«| Oui|.| »|, dit-il|.", ["« Oui. »,", "dit-il."]),
        ('"Oui|?|"|,| dit-il|.', ['"Oui?",', "dit-il."]),
        ("“|Is it|?|”| He asked|.", ["“Is it?”", "He asked."]),
    ],
)  # fmt: skip
def test_closing_quotes_and_brackets_stay_with_their_sentence(case: str, pieces: list[str]) -> None:
    assert cut(as_streamed(case)) == pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("नमस्ते। आप कैसे हैं। आज मौसम अच्छा है।", ["नमस्ते।", "आप कैसे हैं।", "आज मौसम अच्छा है।"]),
        ("श्लोक एक॥ श्लोक दो॥", ["श्लोक एक॥", "श्लोक दो॥"]),
        ("مرحبا، كيف حالك؟ الطقس جميل؛ إلى اللقاء.",
         ["مرحبا،", "كيف حالك؟", "الطقس جميل؛", "إلى اللقاء."]),
        ("آپ کیسے ہیں؟ میں ٹھیک ہوں۔ شکریہ۔", ["آپ کیسے ہیں؟", "میں ٹھیک ہوں۔", "شکریہ۔"]),
        ("Բարև ձեզ։ Ինչպե՞ս եք։", ["Բարև ձեզ։", "Ինչպե՞ս եք։"]),
        ("Այո՝ գալիս եմ։", ["Այո՝", "գալիս եմ։"]),
        ("ሰላም። እንዴት ነህ። አዎ፣ ደህና።", ["ሰላም።", "እንዴት ነህ።", "አዎ፣", "ደህና።"]),
        ("မင်္ဂလာပါ။ နေကောင်းလား။", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
        ("သူလာ၊ ငါသွား။", ["သူလာ၊", "ငါသွား။"]),
        ("សួស្តី។ សុខសប្បាយទេ។ ល្អ៕", ["សួស្តី។", "សុខសប្បាយទេ។", "ល្អ៕"]),
        ("ᠰᠠᠢᠨ᠂ ᠪᠠᠢᠨ᠃ ᠲᠠ᠃", ["ᠰᠠᠢᠨ᠂", "ᠪᠠᠢᠨ᠃", "ᠲᠠ᠃"]),
        ("好．再见｡是；对：好，嗯！", ["好．", "再见｡", "是；", "对：", "好，", "嗯！"]),
        ("བོད་། ཡིན།", ["བོད་།", "ཡིན།"]),
        ("Τι κάνεις; Καλά.", ["Τι κάνεις;", "Καλά."]),
        ("Really⸮ Yes‽ No‼ Ok.", ["Really⸮", "Yes‽", "No‼", "Ok."]),
        ("Bonjour ! Ça va ? Oui.", ["Bonjour !", "Ça va ?", "Oui."]),
        ("Great!😀 And now? 🎉 Go.", ["Great!", "😀 And now?", "🎉 Go."]),
        ("¿Qué? ¡Sí! Bueno.", ["¿Qué?", "¡Sí!", "Bueno."]),
        ("好……我们走吧。", ["好……", "我们走吧。"]),
        ("สวัสดีครับผม ยินดีที่ได้รู้จัก วันนี้เป็นอย่างไรบ้าง",
         ["สวัสดีครับผม", "ยินดีที่ได้รู้จัก", "วันนี้เป็นอย่างไรบ้าง"]),
        ("ສະບາຍດີທຸກຄົນ ຍິນດີທີ່ໄດ້ຮູ້ຈັກ", ["ສະບາຍດີທຸກຄົນ", "ຍິນດີທີ່ໄດ້ຮູ້ຈັກ"]),
        ("ฉันอายุ 20 ปี", ["ฉันอายุ 20 ปี"]),
    ],
)  # fmt: skip
def test_every_script_is_cut_at_its_own_marks(text: str, pieces: list[str]) -> None:
    assert cut([text]) == pieces
    assert cut([*text]) == pieces


@pytest.mark.parametrize(
    ("case", "pieces"),
    [
        ("Well|.|.|.| Okay then|.", ["Well...", "Okay then."]),
        ("Well|.| .| .| Okay then|.", ["Well. . .", "Okay then."]),
        ("Well|.| |.| |.| |Okay then|.", ["Well. . .", "Okay then."]),
        ("Well|…| Okay then|.", ["Well…", "Okay then."]),
        ("What|?|!| Okay then|.", ["What?!", "Okay then."]),
        ("What|?|?|?| Okay then|.", ["What???", "Okay then."]),
        ("好|…|…|我们走|。", ["好……", "我们走。"]),
        ("Well| .|.|.| Okay then|.", ["Well ...", "Okay then."]),
    ],
)
def test_marks_that_come_token_by_token_stay_together(case: str, pieces: list[str]) -> None:
    assert cut(as_streamed(case)) == pieces


@pytest.mark.parametrize(
    "text",
    ["Sure,", "Hello!", "Here it is:", "Well then;", "A line\n", "你好，", "好。", "नमस्ते।", "كيف؟"],
)
def test_what_can_end_only_a_clause_is_cut_without_waiting(text: str) -> None:
    splitter = SentenceSplitter()
    assert [piece for char in text for piece in splitter.feed(char)] == [text.strip()]


@pytest.mark.parametrize(
    ("text", "follows"),
    [
        ("That is all|.", " Then"),  # or `all.txt`, or an ellipsis
        ("It is called Node.", " Then"),  # or `Node.js`
        ("Is that all|?", " Then"),  # or `?!`
        ("Take 3,", " then"),  # or `3,000`
        ("It is 10:", " then"),  # or `10:30`
        ('He said "Stop!', '" Then'),  # the quote is open
        ("Well…", " then"),  # or `……`
    ],
)
def test_what_may_go_on_waits_for_one_token_and_no_more(text: str, follows: str) -> None:
    splitter = SentenceSplitter()
    assert [piece for token in text.split("|") for piece in splitter.feed(token)] == []
    assert splitter.feed(follows)


def test_a_full_stop_that_comes_with_an_ordinary_word_does_not_wait() -> None:
    assert SentenceSplitter().feed("That is all.") == ["That is all."]


def test_a_full_stop_at_the_end_of_the_reply_waits_for_nothing_else() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("That is all") + splitter.feed(".") == []
    assert splitter.flush() == ["That is all."]


ENDS = [
    ("de", "Das ist| so|.| Möchtest| du| mehr|?", 2),
    ("de", "Das geht| so|.| Art| und| Weise| stimmen|.", 2),
    ("fr", "Voilà ce que| c|'|est|.| Et| toi|?", 2),
    ("fr", "J'ai trouvé votre| vol|.| Voulez|-vous| le| réserver|?", 2),
    ("fr", "Le vent vient de l'|est|.| Il| souffle|.", 2),
    ("nl", "De zaal is| vol|.| Zal| ik| een| andere| zoeken|?", 2),
    ("sv", "Ja det är| hon|.| Ska| jag| ringa|?", 2),
    ("pl", "To był| sen|.| Już| dobrze|.", 2),
    ("pl", "Powiedz| co|.| Słucham|.", 2),
    ("cs", "Nevím| co|.| Řekni| to|.", 2),
    ("es", "Me gusta la| col|.| Y| a| ti|?", 2),
    ("tr", "Bunu yapan| sen|.| Ben| değil|.", 2),
    ("no", "Det er en| rev|.| Ser| du| den|?", 2),
    ("de", "Die Antwort ist| 42|.| Soll| ich| das| erklären|?", 2),
    ("de", "Es sind| 15|.| Möchten| Sie| noch| mehr|?", 2),
    ("cs", "Odpověď je| 42|.| Chcete| to| vysvětlit|?", 2),
    ("pl", "Odpowiedź to| 42|.| Czy| mam| to| wyjaśnić|?", 2),
    ("fi", "Vastaus on| 42|.| Haluatko| tietää| miksi|?", 2),
    ("da", "Svaret er| 42|.| Skal| jeg| forklare|?", 2),
    ("no", "Svaret er| 42|.| Skal| jeg| forklare|?", 2),
    ("hu", "A válasz| 42|.| Elmagyarázzam|?", 2),
    ("tr", "Cevap| 42|.| Başka| bir| soru| var| mı|?", 2),
    ("hr", "Odgovor je| 42|.| Trebam| li| objasniti|?", 2),
    ("en", "hello there|.| how| are| you|?", 2),  # who writes without capitals
    ("ka", "ეს არის| კარგი|.| და| ახლა|?", 2),
    ("de", "Das ist eine| DVD|.| Nimm| sie|.", 2),
    ("en", "We sailed on the| SS|.| Then| it| sank|.", 2),
]


@pytest.mark.parametrize(("language", "case", "count"), ENDS)
def test_a_sentence_ends_before_the_next_begins(language: str, case: str, count: int) -> None:
    pieces = cut(as_streamed(case), language)
    assert len(pieces) == count
    assert pieces[0].endswith(".")


GOES_ON = [
    # ordinals, in Roman numerals too
    ("de", "Damals hat Karl| IV|.| regiert|."),
    ("de", "Es war der| II|.| Weltkrieg| in| Europa|."),
    ("de", "Das ist die| 2|.| Auflage| davon|."),
    ("de", "Das ist die| 2|.| Auflage"),
    ("cs", "Vládl tam Karel| IV|.| a| dobře|."),
    ("pl", "Był to Jan Paweł| II|.| był"),
    ("hu", "Ez| II|.| Béla| király|."),
    ("tr", "Bu| II|.| Dünya| Savaşı|."),
    ("fi", "Se on Kaarle| XII|.| ja| muut|."),
    ("hr", "To je| XX|.| vijek"),
    ("sr", "To je| XX|.| vek"),
    ("gsw", "Am| 3|.| Juni| isch| es|."),
    ("nds", "An'n| 3|.| Juni| is| dat|."),
    # what follows has a small letter
    ("de", "Das Hotel am| Hbf|.| ist| nah|."),
    ("da", "Det er| Dvs|.| her|."),
    ("de", "Das ist| zzT|.| nicht| da|."),
    ("en", "He is| 5| ft|.| 3| in|.| tall|."),
    ("es", "El país| EE|.UU|.| es| grande|."),
    ("fr", "Il vécut avant| J|.-|C|.| est| né|."),
    ("fr", "C|.-à-d|.| ici|."),
    ("de", "Der Preis ohne| MwSt|.| sind| zehn| Euro|."),
    ("en", "“|Is it|?|”| he asked|."),
    ("en", "Is| Yahoo|?| a company|."),
    ("el", "Ο κύριος| Αβγδ|.| είναι| εδώ|."),
    ("ru", "Вот| Абв|.| это| так|."),
    # abbreviations, and words that a number follows
    ("en", "On| Jan|.| 5 we meet again on| Sept|.| 11|."),
    ("en", "Call| tel|.| 123| ext|.| 4|."),
    ("en", "Read| ch|.| 3| sec|.| 4| and ed|.| 2|."),
    ("en", "Read| vol|.| 3| of| it|."),
    ("en", "Read| vol.| 3| of| it|."),
    ("en", "See Smith et| al|.| 2020|."),
    ("en", "Ask| Maj|.| Smith| on Fifth| Ave|.| Hotel|."),
    ("en", "Ask| Sen|.| Smith| of St|.| Louis|."),
    ("de", "Frag| Mag|.| Huber| und Dipl|.-|Ing|.| Huber|."),
    ("de", "Frag| Prof|.| Dr|.| med|.| Huber|."),
    ("de", "Es dauert 5| Std|.| Fahrt| bis| dort|."),
    ("de", "Es war 44| v|.| Chr|.| in| Rom|."),
    ("de", "Die Sitzung ist am| Mo|.| Vormittag|."),
    ("es", "Pregunta a| Lic|.| Gómez| y Dña|.| Ana|."),
    ("es", "Vive en| EE|.| UU|.| desde| hace| años|."),
    ("pt", "Ao| Exmo|.| Senhor| Gomes|."),
    ("pl", "To| prof|.| dr| hab|.| Nowak|."),
    ("ru", "Дом 5| кв|.| 3| рис|.| 4|."),
    ("el", "Η| κα|.| Παπαδοπούλου|."),
    ("cs", "To je| PhDr|.| Novák| a Bc|.| Nová|."),
    ("tr", "Bu| Doç|.| Dr|.| Yılmaz|."),
    ("nl", "Vraag| drs|.| Jansen| en ir|.| Smit|."),
    ("id", "Ini| Bpk|.| Joko| di Jl|.| Sudirman|."),
    ("vi", "Ở| TP|.| Hồ Chí Minh|."),
    ("ro", "Acesta este| Dl|.| Ionescu|."),
    ("ca", "Mireu el| núm|.| 5|."),
    ("hi", "ये| डॉ|.| शर्मा| हैं|।"),
    ("ta", "இவர்| திரு|.| குமார்|."),
    ("hy", "Ահա| Պրն|.| Պետրոսյան|։"),
    ("ka", "აი| პროფ|.| ბერიძე|."),
    # the marks of other scripts
    ("zh", "一|、|苹果"),
    ("zh", "十一|、|苹果"),
    ("hi", "1|।| सेब"),
    ("ar", "السعر| ٣|،|٥| دولار|."),
    ("km", "ផ្លែប៉ោម ។ល។"),
    ("ur", "یہ| ا|۔|ب|۔| خان| ہیں|۔"),
]


@pytest.mark.parametrize(("language", "case"), GOES_ON)
def test_what_follows_shows_that_a_sentence_goes_on(language: str, case: str) -> None:
    tokens = as_streamed(case)
    assert cut(tokens, language) == ["".join(tokens)]


def test_once_a_voice_speaks_marks_that_come_one_by_one_stay_together() -> None:
    begun = "This is a first sentence that is long enough to be spoken for a while. "
    assert cut([begun, "Wow", "!", "!", "!", " Great", "?!", "?", " Yes", "."])[1:] == [
        "Wow!!!", "Great?!?", "Yes.",
    ]  # fmt: skip


def test_a_mark_is_looked_at_only_while_what_follows_may_change_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    judge = SentenceSplitter._judge

    def count(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return judge(*args)

    monkeypatch.setattr(SentenceSplitter, "_judge", count)
    cut(["1."] * 3_000, "de")
    assert looks < 3_000 * 25


ALPHABET = "\t\r\u00a0\u202f\u3000\x0c\x85\u2028IVab AB.,;:!?…1\n\"'”—-()「」。，เก่ากำ์ က္ခ é́👩‍👧।؟"


@given(
    st.text(alphabet=ALPHABET, max_size=300),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.sampled_from(["", "en", "de", "th", "cs", "tr"]),
)
def test_the_pieces_joined_are_the_text_in_any_script(
    text: str, sizes: list[int], language: str
) -> None:
    tokens, at = [], 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            break
        tokens.append(text[at : at + size])
        at += size
    pieces = cut(tokens, language)
    joined, whole = "".join("".join(pieces).split()), "".join(text.split())
    assert whole.startswith(joined)
    assert not any(char.isalnum() for char in whole[len(joined) :])


@given(st.text(alphabet="กำ่เ你好 က္ခa,é́", min_size=1, max_size=1_500), st.integers(1, 700))
def test_no_piece_is_over_the_maximum_nor_begins_within_a_character(text: str, size: int) -> None:
    pieces = cut([text[at : at + size] for at in range(0, len(text), size)])
    assert max(map(len, pieces), default=0) <= MAX_CHARS
