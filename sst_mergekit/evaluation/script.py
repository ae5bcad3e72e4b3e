"""Whether a text is written in signs that can be of use: no broken bytes, no soup, no script out of place."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache

MIN_JUNK = 2
MAX_JUNK_SHARE = 0.05
MIN_SIGNS_TO_JUDGE = 40
MAX_SIGN_SHARE = 0.6
MIN_FOREIGN_LETTERS = 8
MAX_FOREIGN_SHARE = 0.5
MAX_MIXED_WORDS = 2

_JUNK = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff"
    "\ud800-\udfff\U000f0000-\U0010ffff]"
)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TABLE_ROW = re.compile(r"^[ \t]*\|[^\n]*\|[ \t]*$", re.MULTILINE)
_SIGN = re.compile(r"[^\w\s]")
_SAME_SIGN = re.compile(r"([^\w\s])\1+")
_WORD = re.compile(r"[^\W\d_]+")

_EAST = "EAST ASIAN"
_KIN: dict[str, str] = dict.fromkeys(
    ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "BOPOMOFO", "IDEOGRAPHIC"), _EAST
)
_BESIDE_LATIN = {_EAST, "HANGUL", "THAI", "LAO", "KHMER", "MYANMAR"}  # no blank before a Latin word
_NAMES = {  # what a prompt may call for that is itself written in another script
    "CYRILLIC": ("russian", "ukrainian", "bulgarian", "serbian", "cyrillic", "mongolian"),
    _EAST: ("chinese", "mandarin", "cantonese", "japanese", "kanji", "kana"),
    "HANGUL": ("korean", "hangul"),
    "GREEK": ("greek",),
    "ARABIC": ("arabic", "persian", "farsi", "urdu"),
    "HEBREW": ("hebrew", "yiddish"),
    "DEVANAGARI": ("hindi", "sanskrit", "marathi", "nepali"),
    "THAI": ("thai",),
}


def is_off_script(text: str, prompt: str | None = None) -> bool:
    """Return whether `text` is written in signs of no use here.

    - Broken: at least 2 control, private or replacement characters, and more than 1 in 20. (Replacement
      characters at the very end are a letter cut in two, and do not count.)
    - Sign soup: of at least 40 signs and letters more than 6 in 10 are signs; a run counts once, tables and
      fenced code are left out.
    - Mixed: more than 2 words, and more than 1 in 10, change alphabet inside ("приhello"); Greek among other
      letters and Latin beside a script without blanks are common and do not count.
    - Out of place, only with a `prompt`: at least 8 letters, and more than half, are of scripts that the
      prompt neither uses nor names ("in Russian"). Latin letters are never out of place.

    >>> is_off_script("\\ufffd\\ufffd\\ufffd a \\x00"), is_off_script("Pythonを使う。α + β = π")
    (True, False)
    >>> is_off_script("Привет всем", "Say hello."), is_off_script("Привет всем", "Say hello in Russian.")
    (True, False)
    """
    whole = text.rstrip("\ufffd ")
    junk = len(_JUNK.findall(whole))
    if junk >= MIN_JUNK and junk > MAX_JUNK_SHARE * len(whole):
        return True
    if _is_sign_soup(prose_of(whole)):
        return True
    if whole.isascii():
        return False
    plain = unicodedata.normalize("NFKC", whole)
    return _is_mixed(plain) or (prompt is not None and _is_out_of_place(plain, prompt))


def prose_of(text: str) -> str:
    """Return `text` without fenced code and rows of tables.

    >>> prose_of("Two:\\n| a | b |\\n|---|---|\\n```\\n1\\n```").strip()
    'Two:'
    """
    return _TABLE_ROW.sub("", _CODE.sub("", text))


def wide(character: str) -> bool:
    """Return whether `character` is a letter of a script written without blanks, or a Hangul syllable.

    >>> wide("字"), wide("か"), wide("a"), wide("。")
    (True, True, False, False)
    """
    return character >= "\u0e00" and character.isalpha() and script_of(character) in _BESIDE_LATIN


def wide_letters(text: str) -> int:
    """Return how many letters of `text` are `wide`.

    >>> wide_letters("Python を使う")
    3
    """
    return 0 if text.isascii() else sum(map(wide, text))


@cache
def script_of(letter: str) -> str:
    """Return the script of `letter` as Unicode names it; Chinese characters, kana and bopomofo are one.

    >>> script_of("ж"), script_of("字") == script_of("か")
    ('CYRILLIC', True)
    """
    first = unicodedata.name(letter, "UNKNOWN").split()[0]
    return _KIN.get(first, first)


def _is_sign_soup(text: str) -> bool:
    once = _SAME_SIGN.sub(r"\1", text)
    total = len("".join(once.split()))
    if total < MIN_SIGNS_TO_JUDGE:
        return False
    signs = sum(unicodedata.category(sign)[0] in "PS" for sign in _SIGN.findall(once))  # not a vowel's mark
    return signs > MAX_SIGN_SHARE * total


def _is_mixed(text: str) -> bool:
    words = _WORD.findall(text)
    mixed = sum(not word.isascii() and _changes_alphabet(word) for word in words)
    return mixed > MAX_MIXED_WORDS and 10 * mixed > len(words)


def _changes_alphabet(word: str) -> bool:
    scripts = [script_of(letter) for letter in word]
    return any(
        one != other and "GREEK" not in pair and not pair <= {"LATIN", *_BESIDE_LATIN}
        for one, other in zip(scripts, scripts[1:], strict=False)
        for pair in ({one, other},)
    )


def _is_out_of_place(text: str, prompt: str) -> bool:
    asked = prompt.casefold()
    expected = {"LATIN", *_scripts(unicodedata.normalize("NFKC", prompt))}
    expected |= {script for script, names in _NAMES.items() if any(name in asked for name in names)}
    scripts = _scripts(text)
    foreign = sum(count for script, count in scripts.items() if script not in expected)
    return foreign >= MIN_FOREIGN_LETTERS and foreign > MAX_FOREIGN_SHARE * scripts.total()


def _scripts(text: str) -> Counter[str]:
    return Counter(script_of(character) for character in text if character.isalpha())
