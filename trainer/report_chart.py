"""Curves over depth as SVG, drawn by hand: no plotting library, no script, no other file.

Series differ by shape and dash as well as by colour, so that they can be told apart in
grey too; colours come from the page's style, which knows light from dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from trainer.bootstrap import Figure

WIDTH, HEIGHT = 400, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 40
_ASIDE = 76
"""Room to the right for the long history, which is at no depth of the others."""


@dataclass(frozen=True)
class Series:
    """A curve.

    Attributes:
        name: key of its colour and shape in the style: ``neutral``, ``in_persona``, ``leaked``.
        label: what a person calls it.
        points: (depth, figure), by depth.
    """

    name: str
    label: str
    points: Sequence[tuple[int, Figure]]


@dataclass(frozen=True)
class Aside:
    """One figure beside the curves.

    Attributes:
        label: what stands under it.
        figure: its height.
    """

    label: str
    figure: Figure


def chart(
    title: str,
    series: Sequence[Series],
    aside: Aside | None,
    *,
    share: bool,
    worded: Callable[[Figure], str],
) -> str:
    """Return an ``svg`` element.

    Args:
        title: what is drawn, for those who cannot see it.
        series: the curves.
        aside: a figure at the right edge.
        share: heights are shares from 0 to 1, whatever the figures are; otherwise the axis
            covers the figures and 0.
        worded: a figure as text.
    """
    series = [Series(one.name, one.label, [*filter(_drawable, one.points)]) for one in series]
    aside = aside if aside and _drawable((0, aside.figure)) else None
    figures = [figure for one in series for _, figure in one.points]
    figures += [aside.figure] if aside else []
    scale = _Scale(
        sorted({depth for one in series for depth, _ in one.points}) or [0],
        *((0.0, 1.0) if share else _span(figures)),
        aside is not None,
    )
    parts = [*_axes(scale, share), *(_curve(one, scale, worded) for one in series)]
    if aside:
        parts.append(_aside(aside, scale, worded))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def marker(name: str, x: float, y: float, title: str = "") -> str:
    """Return the shape of a series at a point."""
    told = f"<title>{escape(title)}</title>" if title else ""
    shapes = {
        "neutral": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"',
        "in_persona": f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2"',
        "leaked": f'<path d="M{x:.1f} {y - 5:.1f}l4.8 8.4h-9.6z"',
        "long": f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"',
    }
    return f'{shapes[name]} class="mark {name}">{told}</{shapes[name][1:].split(" ")[0]}>'


@dataclass(frozen=True)
class _Scale:
    depths: Sequence[int]
    low: float
    high: float
    aside: bool

    @property
    def right(self) -> float:
        return WIDTH - _RIGHT - (_ASIDE if self.aside else 0)

    def x(self, depth: int) -> float:
        """Depths stand at log2(k + 1), as the area under the curve weighs them."""
        first, last = (math.log2(end + 1) for end in (self.depths[0], self.depths[-1]))
        part = (math.log2(depth + 1) - first) / (last - first) if last > first else 0.5
        return _LEFT + 8 + part * (self.right - _LEFT - 16)

    def y(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - part * (HEIGHT - _BOTTOM - _TOP)

    def ticks(self) -> list[float]:
        step = _step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _drawable(point: tuple[int, Figure]) -> bool:
    """Tell whether a figure is a number: those of a checkpoint that diverged are not."""
    ends = (point[1].value, point[1].low, point[1].high)
    return all(end is None or math.isfinite(end) for end in ends)


def _span(figures: Sequence[Figure]) -> tuple[float, float]:
    """Return an axis over the figures, their intervals and 0, from tick to tick."""
    ends = [0.0]
    for figure in figures:
        ends += [end for end in (figure.value, figure.low, figure.high) if end is not None]
    step = _step(max(max(ends) - min(ends), 1e-3))
    low, high = math.floor(min(ends) / step) * step, math.ceil(max(ends) / step) * step
    return low, high if high > low else low + step


def _step(width: float) -> float:
    """Return a round distance between four to six ticks."""
    size = 10.0 ** math.floor(math.log10(width / 4))
    return next(size * part for part in (1, 2, 2.5, 5, 10) if width / (size * part) <= 5)


def _axes(scale: _Scale, share: bool) -> list[str]:
    parts = []
    for tick in scale.ticks():
        y = scale.y(tick)
        name = f"{tick:.0%}" if share else f"{tick:g}"
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}">{name}</text>')
    base = HEIGHT - _BOTTOM
    for depth in scale.depths:
        x = scale.x(depth)
        parts.append(f'<path class="axis" d="M{x:.1f} {base}v4"/>')
        parts.append(f'<text class="tick under" x="{x:.1f}" y="{base + 18}">{depth}</text>')
    middle = (_LEFT + scale.right) / 2
    parts.append(f'<path class="axis" d="M{_LEFT} {base}H{scale.right:.1f}"/>')
    parts.append(f'<text class="tick under" x="{middle:.1f}" y="{HEIGHT - 5}">k</text>')
    return parts


def _curve(series: Series, scale: _Scale, worded: Callable[[Figure], str]) -> str:
    if not series.points:
        return ""
    line = _path([(scale.x(depth), scale.y(figure.value)) for depth, figure in series.points])
    marks = [
        marker(
            series.name,
            scale.x(depth),
            scale.y(figure.value),
            f"{series.label} k={depth}: {worded(figure)}",
        )
        for depth, figure in series.points
    ]
    return (
        f"{_band(series.points, series.name, scale)}"
        f'<path class="line {series.name}" d="{line}"/>{"".join(marks)}'
    )


def _band(points: Sequence[tuple[int, Figure]], name: str, scale: _Scale) -> str:
    ends = [
        (scale.x(depth), scale.y(figure.low), scale.y(figure.high))
        for depth, figure in points
        if figure.low is not None and figure.high is not None
    ]
    if len(ends) < 2:
        return ""
    outline = [(x, high) for x, _, high in ends] + [(x, low) for x, low, _ in reversed(ends)]
    return f'<path class="band {name}" d="{_path(outline)}Z"/>'


def _aside(aside: Aside, scale: _Scale, worded: Callable[[Figure], str]) -> str:
    figure, x = aside.figure, WIDTH - _RIGHT - _ASIDE / 2 + 4
    bar = ""
    if figure.low is not None and figure.high is not None:
        low, high = scale.y(figure.low), scale.y(figure.high)
        bar = f'<path class="bar long" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
    edge = scale.right + 6
    return (
        f'<path class="cut" d="M{edge:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>{bar}'
        f"{marker('long', x, scale.y(figure.value), f'{aside.label}: {worded(figure)}')}"
        f'<text class="tick under" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 18}">{escape(aside.label)}'
        "</text>"
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
