import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import bootstrap
from trainer.bootstrap import area, mean


def test_two_facts_by_hand() -> None:
    """Drawn are aa, ab, ba or bb: means 1, 2/3, 2/3 and 0, so the interval is all there is."""
    figure = mean([1, 1, 0], ["a", "a", "b"])
    assert figure is not None
    assert figure.value == pytest.approx(2 / 3)
    assert (figure.low, figure.high, figure.count) == (0, 1, 3)


def test_the_draws_are_as_likely_as_they_should_be() -> None:
    drawn = bootstrap._draws(2)
    assert drawn.shape == (bootstrap.DRAWS, 2)
    ones = np.bincount(drawn.sum(1)) / bootstrap.DRAWS  # 1/4, 1/2, 1/4
    assert ones == pytest.approx([0.25, 0.5, 0.25], abs=0.05)


def test_replies_of_one_fact_are_one_observation() -> None:
    """Forty equal replies of ten facts are as unsure as ten of them; apart they are surer."""
    values = [float(fact < 5) for fact in range(10) for _ in range(4)]
    facts = [f"f{fact}" for fact in range(10) for _ in range(4)]
    clustered, single = mean(values, facts), mean(values[::4], facts[::4])
    apart = mean(values, [f"r{index}" for index in range(40)])
    assert clustered and single and apart
    assert (clustered.low, clustered.high) == (single.low, single.high)
    assert None not in (clustered.low, clustered.high, apart.low, apart.high)
    assert apart.high - apart.low < 0.7 * (clustered.high - clustered.low)  # type: ignore[operator]


def test_what_has_no_interval() -> None:
    assert mean([], []) is None
    one = mean([1, 0], ["a", "a"])
    assert one and (one.value, one.low, one.high) == (0.5, None, None)
    assert area([0], [[1.0]], [["a"]]) is None
    assert area([0, 1], [[1.0], []], [["a"], []]) is None


def test_the_area_by_hand() -> None:
    """Over log2(k + 1) the depths 0, 1 and 7 stand at 0, 1 and 3."""
    figure = area([0, 1, 7], [[1, 1], [1, 0], [0, 0]], [["a", "b"]] * 3)
    assert figure and figure.value == pytest.approx((0.75 * 1 + 0.25 * 2) / 3)
    # Fact a alone: (1 * 1 + 0.5 * 2) / 3; fact b alone: 0.5 / 3.
    assert (figure.low, figure.high) == (pytest.approx(0.5 / 3), pytest.approx(2 / 3))


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.sampled_from("abcde")), min_size=1, max_size=30),
)
@settings(max_examples=50, deadline=None)
def test_an_interval_holds_and_can_be_repeated(rows: list[tuple[float, str]]) -> None:
    values, facts = [value for value, _ in rows], [fact for _, fact in rows]
    figure = mean(values, facts)
    assert figure == mean(values, facts) and figure is not None
    assert figure.value == pytest.approx(math.fsum(values) / len(values))
    if figure.low is None or figure.high is None:
        assert len(set(facts)) == 1
    else:
        assert min(values) - 1e-9 <= figure.low <= figure.high <= max(values) + 1e-9


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_level_curve_has_its_height_for_area(others: list[float], level: float) -> None:
    flat = area([0, 2, 16], [[level] * 2] * 3, [["a", "b"]] * 3)
    assert flat and flat.value == pytest.approx(level)
    curve = area([0, 1, 3], [[value] for value in others], [["a"]] * 3)
    assert curve and min(others) - 1e-9 <= curve.value <= max(others) + 1e-9
