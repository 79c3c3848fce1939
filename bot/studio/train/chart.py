"""The curves of a training as SVG: no plotting library, no script, nothing that flickers.

The two series differ by dash and marks as well as by colour; colours are the page's own,
so that light and dark are seen to by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from bot.studio.train.run_log import Point
from trainer.language import say

WIDTH, HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 12, 26

MOST = 240
"""Points of a curve that are drawn; more would be finer than the screen."""


def curves(points: Sequence[Point], steps: int) -> str:
    """Return an ``svg`` of the training loss and the dev loss over the steps.

    Args:
        points: of the log, by step; may be empty.
        steps: where the axis ends.
    """
    loss = [(point.step, point.loss) for point in points]
    dev = [(point.step, point.dev_loss) for point in points if point.dev_loss is not None]
    scale = _Scale(max(steps, 1), [value for _, value in [*loss, *dev]])
    parts = [*_grid(scale), *_line("loss", _thinned(loss), scale), *_line("dev", dev, scale)]
    parts += [_dot(scale, step, value) for step, value in dev]
    title = say(zh="训练的 loss 和检验的 loss", en="training loss and dev loss")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


class _Scale:
    def __init__(self, steps: int, values: Sequence[float]) -> None:
        self.steps = steps
        high = max(values, default=1.0)
        self.tick = _round(max(high, 0.05) / 4)
        self.high = max(math.ceil(high / self.tick), 1) * self.tick

    def x(self, step: float) -> float:
        return _LEFT + step / self.steps * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.high * (HEIGHT - _TOP - _BOTTOM)


def _round(size: float) -> float:
    """Return the next round number that is no smaller."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= size * 0.999)


def _grid(scale: _Scale) -> Iterator[str]:
    for number in range(round(scale.high / scale.tick) + 1):
        value = number * scale.tick
        y = scale.y(value)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text class="tick" x="{_LEFT - 7}" y="{y + 4:.1f}">{value:g}</text>'
    for part in (0, 1, 2, 3, 4):
        step = round(scale.steps * part / 4)
        anchor = ("start", "middle", "middle", "middle", "end")[part]
        yield (
            f'<text class="tick" style="text-anchor:{anchor}" x="{scale.x(step):.1f}" '
            f'y="{HEIGHT - 6}">{step}</text>'
        )


def _line(name: str, points: Sequence[tuple[int, float]], scale: _Scale) -> Iterator[str]:
    if len(points) > 1:
        drawn = "L".join(f"{scale.x(step):.1f} {scale.y(value):.1f}" for step, value in points)
        yield f'<path class="curve {name}" d="M{drawn}"/>'
    elif points and name == "loss":
        yield _dot(scale, *points[0], name="loss")


def _dot(scale: _Scale, step: int, value: float, name: str = "dev") -> str:
    told = escape(say(zh=f"第 {step} 步：{value:.3f}", en=f"step {step}: {value:.3f}"))
    return (
        f'<circle class="dot {name}" cx="{scale.x(step):.1f}" cy="{scale.y(value):.1f}" r="4">'
        f"<title>{told}</title></circle>"
    )


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most :data:`MOST` points, each the mean of its neighbours."""
    size = -(-len(points) // MOST) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
