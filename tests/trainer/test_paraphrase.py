import unicodedata
from random import Random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.paraphrase import rephrased
from trainer.wording import canonical


@given(question=st.text(min_size=1, max_size=40), seed=st.integers(0, 1000))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_question_is_lost(language: Literal["zh", "en"], question: str, seed: int) -> None:
    text = rephrased(question, language, Random(seed))
    assert text
    assert text == rephrased(question, language, Random(seed))


def test_people_type_a_question_in_many_ways() -> None:
    ways = {rephrased("你叫什么名字呢？", "zh", Random(seed)) for seed in range(300)}
    assert len(ways) > 25
    assert "你叫什麼名字呢？" in ways  # in traditional characters
    assert any(way.startswith("请问") for way in ways)
    assert any(not unicodedata.category(way[-1]).startswith("P") for way in ways)
    assert any(len(way) == 7 and way.endswith("？") for way in ways)  # a letter was left out
    english = {rephrased("What is your name?", "en", Random(seed)) for seed in range(300)}
    assert len(english) > 25 and "what's your name?" in english


def test_most_ways_ask_the_very_same() -> None:
    """Marks, width and particles do not count; a lead and a slip of the finger do."""
    ways = [rephrased("你今年多大？", "zh", Random(seed)) for seed in range(200)]
    same = [way for way in ways if canonical(way) == canonical("你今年多大？")]
    assert len(ways) / 4 < len(same) < len(ways)


def test_a_very_short_question_keeps_its_letters() -> None:
    ways = {rephrased("在吗", "zh", Random(seed)) for seed in range(200)}
    assert all("在" in way and ("吗" in way or "嗎" in way) for way in ways)
