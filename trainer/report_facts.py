"""The retention report fact by fact: a table to find what fell, and every reply to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby

from trainer.language import say
from trainer.probes import history_name
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
    shown = "".join(f"<span>{badge(verdict)} {escape(named[verdict])}</span>" for verdict in SIGNS)
    told = say(zh="数字是答对的问法数 / 问法数", en="numbers: wordings answered right / asked")
    return f'<p class="key">{shown}<span class="soft">{escape(told)}</span></p>'


Shown = Callable[[str, Cell, Sequence[Reply]], str]
"""How a fact's replies after one history at one depth are shown; there is at least one."""


def fact_table(
    retention: Retention,
    *,
    facts: Sequence[str] | None = None,
    shown: Shown | None = None,
    named: Callable[[str], str] = escape,
) -> str:
    """Return the table of facts and depths.

    Args:
        retention: what was measured.
        facts: ids of the rows; all by default. One that was not asked has no row.
        shown: the HTML of a place; by default the worst verdict, and how many were right.
        named: the HTML of a fact's name.
    """
    cells, place = retention.cells, shown or _together
    edges = [not index or cells[index - 1].history != c.history for index, c in enumerate(cells)]
    rows = []
    for fact in retention.facts if facts is None else facts:
        found = [replies_of(cell, fact) for cell in cells]
        if any(found):
            tds = "".join(
                f"<td{_edge(edge)}>{place(fact, cell, replies) if replies else ''}</td>"
                for cell, replies, edge in zip(cells, found, edges, strict=True)
            )
            rows.append(f"<tr><th>{named(fact)}</th>{tds}</tr>")
    return (
        f'<div class="sheet"><table class="fact-depth"><thead>{_headings(cells, edges)}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _headings(cells: Sequence[Cell], edges: Sequence[bool]) -> str:
    """Return two rows: the histories, and their depths."""
    upper = "".join(
        f'<th class="first" colspan="{len(list(group))}">{escape(history_name(history))}</th>'
        for history, group in groupby(cells, key=lambda cell: cell.history)
    )
    lower = "".join(
        f"<th{_edge(edge)}>{cell.depth}</th>" for cell, edge in zip(cells, edges, strict=True)
    )
    return f"<tr><th></th>{upper}</tr><tr><th>k</th>{lower}</tr>"


def _edge(first: bool) -> str:
    return ' class="first"' if first else ""


def replies_of(cell: Cell, fact: str) -> list[Reply]:
    """Return what was said to a fact's wordings."""
    return [reply for reply in cell.replies if reply.fact == fact]


def worst(replies: Sequence[Reply]) -> tuple[Verdict, str]:
    """Return the worst verdict of some replies, and ``2/3``: how many were right of all."""
    verdicts = [reply.verdict for reply in replies]
    found: Verdict = next(v for v in ("leaked", "wrong", "right") if v in verdicts)
    return found, f"{verdicts.count('right')}/{len(verdicts)}"


def _together(_fact: str, _cell: Cell, replies: Sequence[Reply]) -> str:
    return badge(*worst(replies))


def badge(verdict: Verdict, text: str = "") -> str:
    """Return a verdict's sign in its colour, and a text beside it."""
    return f'<span class="v {badge_class(verdict)}">{SIGNS[verdict]} {text}</span>'


def badge_class(verdict: Verdict) -> str:
    """Return the class of a verdict in the style: another than the history of the same name."""
    return "leak" if verdict == "leaked" else verdict


def replies_by_fact(retention: Retention) -> Iterator[str]:
    """Yield for each fact all its replies, folded away."""
    said: dict[str, list[tuple[Cell, Reply]]] = {fact: [] for fact in retention.facts}
    for cell in retention.cells:
        for reply in cell.replies:
            said.setdefault(reply.fact, []).append((cell, reply))
    for fact, replies in said.items():
        if not replies:
            continue
        right = sum(reply.verdict == "right" for _, reply in replies)
        parts = "".join(map(_asked, _by_question(replies)))
        yield (
            f"<details><summary><b>{escape(fact)}</b> "
            f"<small>{SIGNS['right']} {right}/{len(replies)}</small></summary>{parts}</details>"
        )


def _by_question(replies: Sequence[tuple[Cell, Reply]]) -> list[list[tuple[Cell, Reply]]]:
    found: dict[tuple[str, bool, str], list[tuple[Cell, Reply]]] = {}
    for cell, reply in replies:
        key = reply.question, reply.taught, reply.written
        found.setdefault(key, []).append((cell, reply))
    return list(found.values())


def _asked(replies: Sequence[tuple[Cell, Reply]]) -> str:
    """Return one wording, and what was said to it in each place."""
    asked = replies[0][1]
    kind = say(zh="教过", en="taught") if asked.taught else say(zh="没见过", en="never seen")
    rows = "".join(
        f"<tr><td>{escape(history_name(cell.history))} k={cell.depth}</td>"
        f"<td>{badge(reply.verdict)}</td><td>{escape(reply.reply)}</td></tr>"
        for cell, reply in replies
    )
    source = say(zh="原文", en="written")
    return (
        f"<h3>{escape(asked.question)} <small>{escape(kind)}</small></h3>"
        f'<p class="soft">{escape(source)}: {escape(asked.written)}</p>'
        f'<table class="replies">{rows}</table>'
    )
