"""The pieces of the retention report: curves with their bands, and the table of figures.

The report's page and the studio's are made of the same pieces; each brings the colours
that :mod:`trainer.report_style` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from trainer.bootstrap import Figure
from trainer.language import say
from trainer.probes import History, history_name
from trainer.report_chart import Aside, Series, chart, marker
from trainer.retention_file import Cell, Retention
from trainer.retention_remarks import nats, share

CURVES: tuple[History, ...] = ("neutral", "in_persona", "leaked")

Pick = Callable[[Cell], Figure | None]


@dataclass(frozen=True)
class Measure:
    """What is measured in each cell.

    Attributes:
        name: what it is called.
        meaning: what it is, in half a sentence.
        pick: its figure in a cell.
        is_share: it is a share; otherwise a difference of likelihoods.
    """

    name: str
    meaning: str
    pick: Pick
    is_share: bool

    def worded(self, figure: Figure | None) -> str:
        """Return a figure of it as text, with its interval."""
        return share(figure) if self.is_share else nats(figure)


def measures() -> Sequence[Measure]:
    """Return every measure, the most telling first."""
    return [
        Measure(
            "Recall@k",
            say(zh="没见过的问法，答对的占比", en="wordings never seen: share answered right"),
            lambda cell: cell.recall,
            True,
        ),
        Measure(
            "TrainPair@k",
            say(
                zh="教过的问法，答得像原文的占比",
                en="taught wordings: share near the written answer",
            ),
            lambda cell: cell.train_pair,
            True,
        ),
        Measure(
            "Leak@k",
            say(zh="露出底层模型马脚的占比", en="share that betrays the base model"),
            lambda cell: cell.leaks,
            True,
        ),
        Measure(
            say(zh="矛盾@k", en="Contradictions@k"),
            say(zh="和事实相反的占比", en="share that contradicts its fact"),
            lambda cell: cell.contradictions,
            True,
        ),
        Measure(
            "ΔNLL@k",
            say(
                zh="原文的负对数似然，比不聊时多多少（奈特/token）",
                en="how much less likely the written answer gets, nats a token",
            ),
            lambda cell: cell.delta_nll,
            False,
        ),
        Measure(
            say(zh="身份边距@k", en="Identity margin@k"),
            say(
                zh="露馅的回答比原文难多少（奈特/token），越大越好",
                en="how much less likely a leaked answer is than the written one; more is better",
            ),
            lambda cell: cell.margin,
            False,
        ),
    ]


def charts(retention: Retention, wanted: Sequence[Measure]) -> Iterator[str]:
    """Yield a figure for each measure that was measured."""
    for measure in wanted:
        series = [
            Series(history, history_name(history), points)
            for history in CURVES
            if (points := _points(retention, history, measure.pick))
        ]
        if not series:
            continue
        drawn = chart(
            f"{measure.name}: {measure.meaning}",
            series,
            _aside(retention, measure.pick),
            share=measure.is_share,
            worded=measure.worded,
        )
        meaning = f"<span>{escape(measure.meaning)}</span>"
        caption = f"<figcaption>{escape(measure.name)}{meaning}</figcaption>"
        yield f"<figure>{caption}{drawn}</figure>"


def key() -> str:
    """Return what lines, marks and bands stand for."""
    lines = "".join(
        f'<span><svg viewBox="0 0 34 14"><path class="line {name}" d="M0 7H34"/>'
        f"{marker(name, 17, 7)}</svg> {escape(history_name(name))}</span>"
        for name in CURVES
    )
    band = say(
        zh="色带和竖线：问得有限，真数多半在这里面（95% 自助区间，按事实抽）；◆ 更长的闲聊",
        en="bands and bars: where the true figure likely is (95 % bootstrap intervals over facts); "
        "◆ a longer talk",
    )
    return f'<p class="key">{lines}<span class="soft">{escape(band)}</span></p>'


def figures(retention: Retention) -> str:
    """Return every figure with its interval, a row for each history and depth."""
    names = [say(zh="先聊", en="after"), "k", "token", *(one.name for one in measures())]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(_figure_row(cell) for cell in retention.cells)
    return (
        f'<div class="sheet"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _figure_row(cell: Cell) -> str:
    values = [measure.worded(measure.pick(cell)) for measure in measures()]
    shown = [history_name(cell.history), str(cell.depth), str(cell.tokens), *values]
    return f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in shown)}</tr>"


def _points(retention: Retention, history: History, pick: Pick) -> list[tuple[int, Figure]]:
    cells = retention.curve(history)
    if not any(cell.history == history for cell in cells):
        return []
    return [(cell.depth, figure) for cell in cells if (figure := pick(cell))]


def _aside(retention: Retention, pick: Pick) -> Aside | None:
    for cell in retention.cells:
        if cell.history == "long" and (figure := pick(cell)):
            return Aside(f"{cell.tokens} token", figure)
    return None
