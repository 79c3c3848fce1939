"""The retention report: one HTML file that shows itself anywhere, without scripts.

It is made from ``retention.json`` alone, so it can be made again at any time. Whatever a
model or an author wrote is escaped: a reply may well be HTML.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from trainer.bootstrap import Figure
from trainer.errors import TrainingError
from trainer.language import say, spoken
from trainer.report_facts import fact_table, replies_by_fact, signs
from trainer.report_parts import charts, figures, key, measures
from trainer.report_style import STYLE
from trainer.retention_file import Retention
from trainer.retention_remarks import nats, remarks, share


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
    yield f"<h2>{say(zh='越聊越深', en='Ever deeper in a conversation')}</h2>{key()}"
    yield f'<div class="charts">{"".join(charts(retention, measures()))}</div>'
    yield f"<h2>{say(zh='数字', en='Figures')}</h2>{figures(retention)}{_meaning()}"
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


def _meaning() -> str:
    text = say(
        zh="k 是提问之前聊了几轮；贪心解码，没有裁判模型。方括号里是 95% 区间。"
        "面积用梯形法，对 log2(k+1) 取平均。",
        en="k is how many rounds came before the question; greedy decoding, no judge model. 95 % "
        "intervals in brackets. The area is by the trapezoid rule, a mean over log2(k + 1).",
    )
    return f'<p class="soft">{escape(text)}</p>'
