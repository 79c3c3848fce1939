"""The retention report fact by fact: a table to find what fell, and every reply to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from trainer.language import say
from trainer.probes import History, history_name
from trainer.retention_file import Cell, Reply, Retention, Verdict

SIGNS: dict[Verdict, str] = {"right": "✓", "wrong": "✗", "leaked": "!"}
"""A verdict without colour."""


def signs() -> str:
    """Return what the signs of the table mean."""
    named = {
        "right": say(zh="全对", en="all right"),
        "wrong": say(zh="有答错的", en="some wrong"),
        "leaked": say(zh="有露馅的", en="some leaked"),
    }
    shown = "".join(
        f"<span>{_verdict(verdict, '')} {escape(named[verdict])}</span>" for verdict in SIGNS
    )
    told = say(zh="数字是答对的问法数 / 问法数", en="numbers: wordings answered right / asked")
    return f'<p class="key">{shown}<span class="soft">{escape(told)}</span></p>'


def fact_table(retention: Retention) -> str:
    """Return the table of facts and depths: the worst verdict, and how many were right."""
    cells = retention.cells
    groups: list[tuple[History, int]] = []
    for cell in cells:
        if groups and groups[-1][0] == cell.history:
            groups[-1] = (cell.history, groups[-1][1] + 1)
        else:
            groups.append((cell.history, 1))
    first = [not index or cells[index - 1].history != c.history for index, c in enumerate(cells)]
    upper = "".join(
        f'<th class="first" colspan="{count}">{escape(history_name(history))}</th>'
        for history, count in groups
    )
    lower = "".join(
        f"<th{_edge(edge)}>{cell.depth}</th>" for cell, edge in zip(cells, first, strict=True)
    )
    rows = []
    for fact in retention.facts:
        found = [_of(cell, fact) for cell in cells]
        if any(found):
            tds = "".join(
                f"<td{_edge(edge)}>{_together(replies)}</td>"
                for replies, edge in zip(found, first, strict=True)
            )
            rows.append(f"<tr><th>{escape(fact)}</th>{tds}</tr>")
    return (
        f'<div class="sheet"><table class="facts"><thead><tr><th></th>{upper}</tr>'
        f"<tr><th>k</th>{lower}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _edge(first: bool) -> str:
    return ' class="first"' if first else ""


def _of(cell: Cell, fact: str) -> list[Reply]:
    return [reply for reply in cell.replies if reply.fact == fact]


def _together(replies: Sequence[Reply]) -> str:
    """Show the worst of a fact's verdicts, and how many were right."""
    if not replies:
        return ""
    verdicts = [reply.verdict for reply in replies]
    worst: Verdict = next(v for v in ("leaked", "wrong", "right") if v in verdicts)
    return _verdict(worst, f"{verdicts.count('right')}/{len(verdicts)}")


def _verdict(verdict: Verdict, text: str) -> str:
    # Another class than the history of the same name.
    name = "leak" if verdict == "leaked" else verdict
    return f'<span class="v {name}">{SIGNS[verdict]} {text}</span>'


def replies_by_fact(retention: Retention) -> Iterator[str]:
    """Yield for each fact all its replies, folded away."""
    for fact in retention.facts:
        asked = {
            (reply.question, reply.taught, reply.written): None
            for cell in retention.cells
            for reply in _of(cell, fact)
        }
        if not asked:
            continue
        every = [reply for cell in retention.cells for reply in _of(cell, fact)]
        right = sum(reply.verdict == "right" for reply in every)
        parts = "".join(_asked(retention, fact, *question) for question in asked)
        yield (
            f"<details><summary><b>{escape(fact)}</b> "
            f"<small>{SIGNS['right']} {right}/{len(every)}</small></summary>{parts}</details>"
        )


def _asked(retention: Retention, fact: str, question: str, taught: bool, written: str) -> str:
    kind = say(zh="教过", en="taught") if taught else say(zh="没见过", en="never seen")
    rows = "".join(
        f"<tr><td>{escape(history_name(cell.history))} k={cell.depth}</td>"
        f"<td>{_verdict(reply.verdict, '')}</td><td>{escape(reply.reply)}</td></tr>"
        for cell in retention.cells
        for reply in _of(cell, fact)
        if reply.question == question
    )
    source = say(zh="原文", en="written")
    return (
        f"<h3>{escape(question)} <small>{escape(kind)}</small></h3>"
        f'<p class="soft">{escape(source)}: {escape(written)}</p>'
        f'<table class="replies">{rows}</table>'
    )
