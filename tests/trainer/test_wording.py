"""Comparing questions and replies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.wording import (
    PARTICLES,
    asks_identity,
    canonical,
    finds,
    is_usable,
    tells_nothing,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("你叫什么名字呀？", "你叫什么名字"),
        ("你 叫 什么 名字！！", "你叫什么名字呢呀"),
        ("Who are you?", "ＷＨＯ ＡＲＥ　ＹＯＵ"),
        ("What's up", "whats_up"),
        ("第①名", "第1名"),
    ],
)
def test_the_same_question_in_other_dress(one: str, other: str) -> None:
    assert canonical(one) == canonical(other) != ""


def test_different_questions_stay_different() -> None:
    assert canonical("你喜欢雪吗") != canonical("你喜欢雨吗")
    assert canonical("吧") == "吧"  # a lone particle is all there is, so it stays


@given(st.text())
def test_canonical_is_idempotent(text: str) -> None:
    assert canonical(canonical(text)) == canonical(text)


@given(st.text(), st.text(alphabet=PARTICLES + "？！。~ ", max_size=5))
def test_final_particles_never_count(text: str, tail: str) -> None:
    stem = canonical(text + "雪")
    assert canonical(text + "雪" + tail) == stem


@pytest.mark.parametrize(
    "question",
    [
        *("你是谁", "您是谁呀", "你叫什么名字", "你名字是啥", "请问怎么称呼你", "介绍一下你自己"),
        *("妳是誰", "我该叫你什么", "Who are you?", "What's your name?", "What is your name"),
        *("How should I call you?", "Introduce yourself, please", "Tell me about yourself"),
        "Who am I talking to?",
    ],
)
def test_identity_questions(question: str) -> None:
    assert asks_identity(question)


@pytest.mark.parametrize(
    "question",
    [
        *("你喜欢什么", "你是什么颜色的", "他叫什么", "这首歌叫什么名字", ""),
        *("Who are used cars for?", "What do you like?", "Can I help?"),
    ],
)
def test_other_questions_ask_no_identity(question: str) -> None:
    assert not asks_identity(question)


def test_finds_ignores_case_and_width() -> None:
    assert finds("chatglm", "我是ＣｈａｔＧＬＭ")
    assert finds("你好，", "你好,世界")
    assert finds("真的？", "真的?") and not finds("真的？", "真")
    assert finds("（雪）", "(雪)") and not finds("（雪）", "雪")
    assert finds("[！～]", "好~")


@pytest.mark.parametrize("pattern", ["", "x*", "雪|", ".", ".*", r"[\s\S]+", r"\w", " "])
def test_patterns_that_tell_nothing(pattern: str) -> None:
    assert tells_nothing(pattern) and not is_usable(pattern)
