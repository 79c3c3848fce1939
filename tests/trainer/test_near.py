"""Near duplicates, against comparing each with each."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import fuzz

from trainer import near
from trainer.wording import NEAR


def by_hand(texts: list[str]) -> set[frozenset[int]]:
    pairs = combinations(range(len(texts)), 2)
    return {frozenset((a, b)) for a, b in pairs if fuzz.ratio(texts[a], texts[b]) >= NEAR}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(alphabet="雪a", min_size=1, max_size=30), unique=True, max_size=40))
def test_finds_exactly_the_near_pairs(texts: list[str]) -> None:
    found = list(near.near_pairs(texts))
    assert {frozenset(pair) for pair in found} == by_hand(texts)
    assert len(found) == len(by_hand(texts))


def test_pairs_are_found_across_blocks() -> None:
    texts = [f"{'你喜欢下雪的日子吗' * 3}{i:04}" for i in range(0, near.BLOCK * 2, 8)]
    texts += [chr(0x4E00 + i) * 40 for i in range(near.BLOCK * 2)] + ["甲" * 19 + "乙", "甲" * 20]
    found = {frozenset(pair) for pair in near.near_pairs(texts)}
    assert frozenset((len(texts) - 2, len(texts) - 1)) in found
    assert found == by_hand(texts)


def test_nothing_to_compare() -> None:
    assert list(near.near_pairs([])) == list(near.near_pairs(["雪"])) == []
