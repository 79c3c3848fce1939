import re
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.partial_match import PATIENCE, GrowingText, PartialPattern
from trainer.persona import load_persona
from trainer.wording import compiled, finds, plain

PERSONAS = sorted((Path(__file__).parents[2] / "personas").glob("*.yaml"))


def open_from(pattern: str, text: str) -> int:
    found = PartialPattern(pattern).open.search(text)
    assert found is not None
    return found.start()


def held(patterns: list[str], text: str, *, step: int = 1) -> str | None:
    """What is held back of ``text``, which arrived letter by letter and goes on; None: it leaks."""
    growing = GrowingText([PartialPattern(pattern) for pattern in patterns])
    safe: int | None = 0
    for end in [*range(step, len(text), step), len(text), len(text) + 1]:
        safe = growing.grow((text + "|")[:end])
        if safe is None:
            return None
    return text[safe:]


# --- what may still come true ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "text", "tail"),
    [
        ("语言模型", "咱喜欢语言", "语言"),
        ("语言模型", "咱喜欢语言课", ""),
        ("ChatGLM|智谱", "hi chatgl", "chatgl"),
        ("作为一(?:个|名)AI", "作为一名", "作为一名"),
        ("作为一(?:个|名)AI", "作为一个人", ""),
        (r"由.{0,3}开发", "由某某人开", "由某某人开"),
        (r"由.{0,3}开发", "由某某某某人", ""),
        (r"GPT-?\d", "GPT-", "GPT-"),
        (r"\bAI\b", "MAI", ""),
        (r"\bAI\b", "an AI", "AI"),
        ("AI(?!女孩)", "AI女", "AI女"),
        ("AI(?!女孩)", "AI女孩", "AI女孩"),  # a letter longer than need be
        ("AI(?!女孩)", "AI女孩呀", ""),
        (r"(?=\w+x)a", "ab", "ab"),
        (r"(?=\w+x)a", "ab ", ""),
        (r"(a|b)c\1", "ac", "ac"),
        (r"(?>ab|a)c", "ab", "ab"),
        ("a++b", "aa", "aa"),
        ("模型$", "语言模型", "模型"),
        ("模型$", "语言模型\n", "模型\n"),
        ("模型$", "语言模型\n咱", ""),
        ("(?<=大)模型", "大模", "模"),
        ("(?<=大)模型", "小模", ""),
        ("[语話]{2,}言", "语語话話", "話"),
        (r"(?s:a.)b", "a\n", "a\n"),
        ("（笑）", "(笑", "(笑"),
    ],
)
def test_an_end_that_may_come_true_is_known(pattern: str, text: str, tail: str) -> None:
    assert text[open_from(pattern, text) :] == tail


ATOMS = st.sampled_from(
    ["a", "b", "我", ".", "[ab]", r"\w", r"\b", r"\B", "^", "$", r"\Z", r"\s", "[^a]", "é"]
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    wrap = ["(?:{})?", "(?:{})*", "(?:{}){{1,2}}", "(?={})", "(?!{})", "(?:{})+?", "(?i:{})"]
    wrap += ["(?>{})", "(?:{})?+", "({})", r"(?<=a(?={}))", r"(?<!a(?!{}))", r"({})b\1"]
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda two: f"(?:{'|'.join(two)})"),
        st.builds(lambda form, text: form.format(text), st.sampled_from(wrap), inner),
    )


def _is_pattern(pattern: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled(pattern)
    except re.error:
        return False
    return True


PATTERNS = (
    st.recursive(ATOMS, combined, max_leaves=5)
    # A reference counts the groups of the whole pattern.
    .filter(lambda pattern: pattern.count(r"\1") <= 1)
    .filter(_is_pattern)
)
TEXTS = st.text("ab我.。 \nAé\u0301ｂ", max_size=12)


@given(pattern=PATTERNS, text=TEXTS.map(plain), more=TEXTS)
def test_what_is_not_open_never_changes(pattern: str, text: str, more: str) -> None:
    watched = PartialPattern(pattern)
    opened = watched.open.search(text)
    assert opened is not None
    for start in range(opened.start()):
        now, later = watched.whole.match(text, start), watched.whole.match(text + more, start)
        assert (now is None) == (later is None)


@given(pattern=PATTERNS, text=TEXTS.map(plain), more=TEXTS)
def test_a_pattern_that_does_not_look_around_stays_found(
    pattern: str, text: str, more: str
) -> None:
    watched = PartialPattern(pattern)
    if not watched.looks and watched.whole.search(text):
        assert watched.whole.search(text + more)


@pytest.mark.parametrize(
    ("pattern", "looks"), [("a{4}b", False), (r"\bа", True), ("(?:x(?!y))?", True), ("[$^]", False)]
)
def test_it_is_known_which_patterns_look_around(pattern: str, looks: bool) -> None:
    assert PartialPattern(pattern).looks is looks


# --- how much may be shown ---------------------------------------------------------------------


@given(
    patterns=st.lists(PATTERNS, min_size=1, max_size=3),
    text=st.text("ab我.。 \nAé\u0301ｂ\u1100\u1161ﾊﾞ", max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=12),
    patience=st.sampled_from([0, 3, PATIENCE]),
)
def test_nothing_that_matches_is_ever_shown(
    patterns: list[str], text: str, cuts: list[int], patience: int
) -> None:
    def leaks(shown: str) -> bool:
        return any(finds(pattern, shown) for pattern in patterns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.partial_match.PATIENCE", patience)
        growing = GrowingText([PartialPattern(pattern) for pattern in patterns])
        safes = [0]
        for cut in [*sorted(min(cut, len(text)) for cut in cuts), len(text)]:
            safe = growing.grow(text[:cut])
            if safe is None:
                assert leaks(text)
                return
            assert safe <= cut and (safe in safes or not leaks(text[:safe]))
            safes.append(safe)
    assert all(early <= late for early, late in pairwise(safes))


def test_only_what_may_still_match_is_held_back() -> None:
    patterns = ["语言模型", r"\bGPT\b"]
    assert held(patterns, "咱喜欢语言") == "语言"
    assert held(patterns, "咱喜欢语言课") == ""
    assert held(patterns, "咱喜欢GPTs") == ""
    assert held(patterns, "GP") == "GP"
    assert held(patterns, "咱是语言模型") is None


def test_a_leak_is_certain_once_nothing_can_undo_it() -> None:
    assert held(["AI(?!女孩)"], "一个AI女") == "AI女"
    assert held(["AI(?!女孩)"], "一个AI女孩呀") == ""
    assert held(["AI(?!女孩)"], "一个AI女人") is None
    assert held(["由.*开发", "a$"], "由谁开发") is None


def test_a_text_cut_where_only_the_cut_leaks_is_not_shown() -> None:
    # 女孩 is held back for the second pattern, but what stands before it would match the first.
    assert held(["AI(?!女孩)", "女孩机"], "一个AI女孩") == "AI女孩"
    assert held(["AI(?!女孩)", "女孩机"], "一个AI女孩呀") == ""


def test_patience_ends_with_the_sentence() -> None:
    patterns = ["由.*开发"]
    short, long = "由" + "雪" * (PATIENCE // 2) + "。", "由" + "雪" * PATIENCE + "。"
    assert held(patterns, short) == short
    assert held(patterns, long) == "" and held(patterns, long + "由") == "由"
    assert held(patterns, long[:-1]) == long[:-1]
    assert held(patterns, long + "开") == "" and held(patterns, long + "开发") is None
    # A point inside a number ends nothing, one before a space does.
    assert held(patterns, "由3.5" + "x" * PATIENCE) != ""
    assert held(patterns, "由3. 5" + "x" * PATIENCE) == ""


def test_full_width_and_accents_are_one_letter() -> None:
    assert held(["GPT"], "ＧＰ") == "ＧＰ"
    assert held(["GPT"], "ＧＰＴ") is None
    growing = GrowingText([PartialPattern("cafe"), PartialPattern("が")])
    assert growing.grow("cafe") == 0
    assert growing.grow("cafe\u0301") == 0
    assert growing.grow("cafe\u0301 か") == len("cafe\u0301 ")
    assert growing.grow("cafe\u0301 か\u3099!") is None


def test_a_letter_that_becomes_several_is_shown_whole() -> None:
    growing = GrowingText([PartialPattern("Celsius")])
    assert growing.grow("3℃!") == 1  # °C in NFKC, and C may begin the word
    assert growing.grow("3℃!呀") == 3


@pytest.mark.parametrize("path", PERSONAS, ids=lambda path: path.name)
def test_the_lines_of_a_shipped_persona_flow(path: Path) -> None:
    """What a persona says itself is passed on at once, all but a few letters."""
    persona = load_persona(path)
    patterns = [PartialPattern(pattern) for pattern in persona.leaks]
    waiting: list[int] = []
    for _, _, answer in persona.pairs():
        growing = GrowingText(patterns)
        for end in range(1, len(answer) + 1):
            safe: Any = growing.grow(answer[:end])
            waiting.append(end - safe)
    assert sorted(waiting)[len(waiting) // 2] <= 2 and sum(waiting) / len(waiting) < 4
