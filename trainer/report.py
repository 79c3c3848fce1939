"""The retention report: one HTML file that shows itself anywhere, without scripts.

It is made from ``retention.json`` alone, so it can be made again at any time. Whatever a
model or an author wrote is escaped: a reply may well be HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path

from trainer.bootstrap import Figure
from trainer.errors import TrainingError
from trainer.language import say, spoken
from trainer.probes import History, history_name
from trainer.report_chart import Aside, Series, chart, marker
from trainer.report_facts import fact_table, replies_by_fact, signs
from trainer.report_style import STYLE
from trainer.retention_file import Cell, Retention
from trainer.retention_remarks import nats, remarks, share

CURVES: tuple[History, ...] = ("neutral", "in_persona", "leaked")

Pick = Callable[[Cell], Figure | None]


def write_report(retention: Retention, path: Path) -> None:
    """Write the report.

    Raises:
        TrainingError: the disk is full or cannot be written.
    """
    try:
        path.write_text(report(retention), encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            say(zh=f"写不进去：{error.strerror}", en=f"cannot be written: {error.strerror}"),
            path=path,
            fix=say(zh="检查权限和磁盘空间", en="check permissions and disk space"),
            code="disk",
        ) from error


def report(retention: Retention) -> str:
    """Return the page, in the spoken language."""
    title = say(
        zh=f"{retention.persona}：聊久了，还是不是它",
        en=f"{retention.persona}: does it stay itself?",
    )
    language = "zh-CN" if spoken() == "zh" else "en"
    body = "".join(_body(retention, title))
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def _body(retention: Retention, title: str) -> Iterator[str]:
    bits = retention.bits or say(zh="不量化", en="not quantized")
    rounds = retention.trained_depth
    facts = say(
        zh=f"底座 {retention.base}，位数 {bits}，第 {retention.step} 步，训练过 {rounds} 轮的对话",
        en=f"base {retention.base}, bits {bits}, step {retention.step}, trained on conversations "
        f"of up to {rounds} rounds",
    )
    if retention.subject.guarded:
        facts += say(zh="，有守护", en=", with the guard")
    yield f'<h1>{escape(title)}</h1><p class="soft">{escape(facts)}</p>'
    yield f'<div class="tiles">{"".join(_tiles(retention))}</div>'
    if said := list(remarks(retention)):
        lines = "".join(f"<li>{escape(line)}</li>" for line in said)
        yield f'<ul class="remarks">{lines}</ul>'
    yield f"<h2>{say(zh='越聊越深', en='Ever deeper in a conversation')}</h2>{_key()}"
    yield f'<div class="charts">{"".join(_charts(retention))}</div>'
    yield f"<h2>{say(zh='数字', en='Figures')}</h2>{_figures(retention)}{_meaning()}"
    yield f"<h2>{say(zh='每条事实', en='Each fact')}</h2>{signs()}{fact_table(retention)}"
    yield f"<h2>{say(zh='它说了什么', en='What it said')}</h2>"
    yield from replies_by_fact(retention)


def _tiles(retention: Retention) -> Iterator[str]:
    """Yield the figures that matter most, at the greatest depth of small talk."""
    cells = [cell for cell in retention.curve("neutral") if cell.history == "neutral"]
    first, last = cells[0], cells[-1]
    k = last.depth
    rows = [
        (f"Recall@0 → @{k}", f"{_percent(first.recall)} → {_percent(last.recall)}"),
        (f"TrainPair@0 → @{k}", f"{_percent(first.train_pair)} → {_percent(last.train_pair)}"),
        (f"Leak@{k}", _percent(last.leaks)),
        (
            say(zh="Recall 曲线下面积", en="area under Recall"),
            share(retention.areas.get("neutral")),
        ),
    ]
    if retention.forgetting:
        name = say(zh="遗忘（奈特/token）", en="forgetting (nats a token)")
        figure = retention.forgetting.figure
        rows.append((name, nats(figure, interval=False)))
    for name, value in rows:
        yield f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>'


def _percent(figure: Figure | None) -> str:
    return share(figure, interval=False)


def _measures() -> list[tuple[str, str, Pick, bool]]:
    """Return name, meaning, figure, and whether it is a share, of each measure."""
    return [
        (
            "Recall@k",
            say(zh="没见过的问法，答对的占比", en="wordings never seen: share answered right"),
            lambda cell: cell.recall,
            True,
        ),
        (
            "TrainPair@k",
            say(
                zh="教过的问法，答得像原文的占比",
                en="taught wordings: share near the written answer",
            ),
            lambda cell: cell.train_pair,
            True,
        ),
        (
            "Leak@k",
            say(zh="露出底层模型马脚的占比", en="share that betrays the base model"),
            lambda cell: cell.leaks,
            True,
        ),
        (
            say(zh="矛盾@k", en="Contradictions@k"),
            say(zh="和事实相反的占比", en="share that contradicts its fact"),
            lambda cell: cell.contradictions,
            True,
        ),
        (
            "ΔNLL@k",
            say(
                zh="原文的负对数似然，比不聊时多多少（奈特/token）",
                en="how much less likely the written answer gets, nats a token",
            ),
            lambda cell: cell.delta_nll,
            False,
        ),
        (
            say(zh="身份边距@k", en="Identity margin@k"),
            say(
                zh="露馅的回答比原文难多少（奈特/token），越大越好",
                en="how much less likely a leaked answer is than the written one; more is better",
            ),
            lambda cell: cell.margin,
            False,
        ),
    ]


def _charts(retention: Retention) -> Iterator[str]:
    for name, meaning, pick, is_share in _measures():
        series = [
            Series(history, history_name(history), points)
            for history in CURVES
            if (points := _points(retention, history, pick))
        ]
        if not series:
            continue
        drawn = chart(
            f"{name}: {meaning}",
            series,
            _aside(retention, pick),
            share=is_share,
            worded=share if is_share else nats,
        )
        caption = f"<figcaption>{escape(name)}<span>{escape(meaning)}</span></figcaption>"
        yield f"<figure>{caption}{drawn}</figure>"


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


def _key() -> str:
    lines = "".join(
        f'<span><svg viewBox="0 0 34 14"><path class="line {name}" d="M0 7H34"/>'
        f"{marker(name, 17, 7)}</svg> {escape(history_name(name))}</span>"
        for name in CURVES
    )
    band = say(
        zh="色带和竖线：95% 自助区间，按事实抽；◆ 更长的闲聊",
        en="bands and bars: 95 % bootstrap intervals over facts; ◆ a longer talk",
    )
    return f'<p class="key">{lines}<span class="soft">{escape(band)}</span></p>'


def _figures(retention: Retention) -> str:
    names = [say(zh="先聊", en="after"), "k", "token", *(name for name, *_ in _measures())]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(_figure_row(cell) for cell in retention.cells)
    return (
        f'<div class="sheet"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        "</div>"
    )


def _figure_row(cell: Cell) -> str:
    values = [
        share(pick(cell)) if is_share else nats(pick(cell)) for _, _, pick, is_share in _measures()
    ]
    shown = [history_name(cell.history), str(cell.depth), str(cell.tokens), *values]
    return f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in shown)}</tr>"


def _meaning() -> str:
    text = say(
        zh="k 是提问之前聊了几轮；贪心解码，没有裁判模型。方括号里是 95% 区间。"
        "面积用梯形法，对 log2(k+1) 取平均。",
        en="k is how many rounds came before the question; greedy decoding, no judge model. 95 % "
        "intervals in brackets. The area is by the trapezoid rule, a mean over log2(k + 1).",
    )
    return f'<p class="soft">{escape(text)}</p>'
