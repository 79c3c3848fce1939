"""How sure a figure is: bootstrap intervals over facts.

The wordings of one fact are answered alike, right or wrong together, so forty replies
about ten facts are ten observations and not forty. Whole facts are therefore drawn, with
all their replies (cluster bootstrap, Field & Welsh 2007), and the percentiles of the
redrawn figure are its interval (Efron 1979). Seeded, so that a figure can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

DRAWS = 1000
"""Times that the facts are drawn anew."""

_TAILS = (2.5, 97.5)
_SEED = 0


class Figure(BaseModel):
    """A mean, and its 95 % interval."""

    model_config = ConfigDict(
        frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="constants"
    )

    value: float
    """The mean."""
    low: float | None
    """Lower end of the interval; none where there is a single fact to draw from."""
    high: float | None
    """Upper end."""
    count: int
    """How many values it is the mean of."""


def mean(values: Sequence[float], clusters: Sequence[str]) -> Figure | None:
    """Return the mean of ``values`` and its interval; none without a value.

    Args:
        values: one for each reply.
        clusters: the fact of each.
    """
    if not values:
        return None
    names, sums, counts = _by_cluster(values, clusters)
    drawn = _draws(len(names))
    return _figure(
        float(np.mean(values)), sums[drawn].sum(1) / counts[drawn].sum(1), len(names), len(values)
    )


def area(
    depths: Sequence[int], values: Sequence[Sequence[float]], clusters: Sequence[Sequence[str]]
) -> Figure | None:
    """Return the area under a curve of means over depth, and its interval.

    By the trapezoid rule over log2(k + 1), divided by the width, so that a curve that
    stays at 1 has area 1: a fall from round 0 to 1 counts as much as one from 7 to 15.
    In each draw all depths are of the same facts.

    Args:
        depths: rounds before the question, rising; without two of them there is no area.
        values: for each depth, one value for each reply.
        clusters: for each depth, the fact of each reply.
    """
    if len(depths) < 2 or not all(values):
        return None
    names = sorted({name for part in clusters for name in part})
    parts = [_by_cluster(v, c, names) for v, c in zip(values, clusters, strict=True)]
    drawn = _draws(len(names))
    means = [sums[drawn].sum(1) / np.maximum(counts[drawn].sum(1), 1) for _, sums, counts in parts]
    own = [float(np.mean(part)) for part in values]
    places = np.log2(np.array(depths) + 1)
    width = places[-1] - places[0]
    return _figure(
        float(np.trapezoid(own, places) / width),
        np.trapezoid(np.stack(means), places, axis=0) / width,
        len(names),
        sum(map(len, values)),
    )


def _figure(value: float, drawn: Any, clusters: int, count: int) -> Figure:
    if clusters < 2:
        return Figure(value=value, low=None, high=None, count=count)
    low, high = np.percentile(drawn, _TAILS)
    return Figure(value=value, low=float(low), high=float(high), count=count)


def _draws(clusters: int) -> Any:
    """Return indices of clusters, ``[draws, clusters]``, drawn with replacement."""
    return np.random.default_rng(_SEED).integers(clusters, size=(DRAWS, clusters))


def _by_cluster(
    values: Sequence[float], clusters: Sequence[str], names: Sequence[str] = ()
) -> tuple[list[str], Any, Any]:
    """Return the clusters' names, their sums and how many values each has."""
    found = list(names) or sorted(set(clusters))
    place = {name: index for index, name in enumerate(found)}
    sums, counts = np.zeros(len(found)), np.zeros(len(found))
    for value, cluster in zip(values, clusters, strict=True):
        sums[place[cluster]] += value
        counts[place[cluster]] += 1
    return found, sums, counts
