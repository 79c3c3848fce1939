"""Patterns that would hang: refused at the right place, and none too many."""

import re
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.slow_pattern import slow_spot
from trainer.wording import is_usable


@pytest.mark.parametrize(
    ("pattern", "offset"),
    [
        ("(a+)+", 4),
        ("(a|b)*x", 5),
        ("雪(?:a?a){30}", 8),
        ("((a+)b)+", 7),
        ("a*b*c*d*", 7),
        ("a?" * 21, 41),
        ("(a|aa)" * 21, 125),
        ("(?=(a+)+x)", 7),
        (r"(\w+\s?)*$", 8),
    ],
)
def test_slow_patterns_and_where(pattern: str, offset: int) -> None:
    assert slow_spot(pattern) == offset


@pytest.mark.parametrize(
    "pattern",
    [
        "沐雪|雪雪",
        "(ab)+",
        "[(a+)+]x",
        r"\(a+\)+",
        "(a+)?b",
        "雪.{0,5}天|x+|y+|z+|w+",
        "(?=.*(雪|冰))(?=.*(天|夜))(?=.*(猫|狗))(?=.*(书|信))",
        r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}",
        "我是(?:甲|乙|丙|丁|戊|己|庚|辛|壬|癸)(?:子|丑|寅|卯)?",
        *("a{3}b{2}", "x{y}", "(a(b)(c|d))e"),
    ],
)
def test_fast_patterns_pass(pattern: str) -> None:
    assert is_usable(pattern)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab()|*+?{}0,9[]\\.^", max_size=12))
def test_what_passes_ends(pattern: str) -> None:
    """The promise: what passes ends soon even on a reply made to fail after every attempt."""
    hostile = f"(?:{pattern})!"
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(hostile)
    except (re.error, OverflowError):
        return
    if slow_spot(hostile) is None:
        start = time.perf_counter()
        re.search(hostile, "ab" * 20 + "a" * 40)
        assert time.perf_counter() - start < 2
