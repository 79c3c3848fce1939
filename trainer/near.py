"""Which of many questions are nearly the same.

Comparing each with each is the square of their number, and a persona may hold
thousands. Two texts of ratio r differ in length by a bounded share, so after sorting by
length each is compared only with those a little longer, in blocks, in rapidfuzz's C++.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rapidfuzz import fuzz, process

from trainer.wording import NEAR

BLOCK = 512
"""Rows compared at once: 512 by some thousands of scores of one byte each."""


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the index pairs of ``texts`` with rapidfuzz ratio >= NEAR, each pair once.

    Args:
        texts: distinct canonical questions.
    """
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    sizes = np.array([len(texts[index]) for index in order])
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        end = int(np.searchsorted(sizes, _longest(len(texts[rows[-1]])), side="right"))
        columns = order[start:end]
        scores = process.cdist(
            [texts[index] for index in rows],
            [texts[index] for index in columns],
            scorer=fuzz.ratio,
            score_cutoff=NEAR,
            dtype=np.float32,
        )
        for row, column in np.argwhere(scores >= NEAR):
            if row < column:
                yield rows[row], columns[column]


def is_near(question: str, others: Iterable[str]) -> bool:
    """Tell whether any of ``others`` is ``question`` or nearly so (all canonical)."""
    return process.extractOne(question, others, scorer=fuzz.ratio, score_cutoff=NEAR) is not None


def _longest(size: int) -> float:
    """Return the length above which no text reaches ratio NEAR with one of ``size`` characters.

    The ratio is 100 · (1 - d / (a + b)), and the distance d is at least b - a.
    """
    slack = 1 - NEAR / 100
    return size * (1 + slack) / (1 - slack)
