"""Two runs side by side as HTML: which facts got better or worse, and how deep in a talk."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from bot.studio.evaluate.view import note
from trainer.diff import CellChange, Count, Difference, FactChange, difference
from trainer.language import say
from trainer.probes import History, history_name
from trainer.retention_file import Retention, subject_words

Pair = tuple[float | None, float | None]


def comparison(before: Retention, after: Retention, names: tuple[str, str]) -> str:
    """Return what ``after`` does that ``before`` does not.

    Args:
        before: the retention of the run that is compared with.
        after: that of the run shown.
        names: their ids.
    """
    found = difference(before, after)
    notes = "".join(map(note, _notes(found, before, after, names)))
    if not found.cells:
        return notes
    if before.persona != after.persona:  # their facts may have the same names by accident
        return f"{notes}{_headline(found.cells)}{_figures(found.cells)}"
    return f"{notes}{_headline(found.cells, found.facts)}{_facts(found)}{_figures(found.cells)}"


def _notes(
    found: Difference, before: Retention, after: Retention, names: tuple[str, str]
) -> list[str]:
    """Return what keeps the two from being compared, wholly or in part."""
    told = []
    if before.persona != after.persona:
        told.append(
            say(
                zh=f"{names[0]} 是{before.persona}，{names[1]} 是{after.persona}："
                "不是同一个人设，事实没法逐条比，只比总的数字。",
                en=f"{names[0]} is {before.persona} and {names[1]} is {after.persona}: of two "
                "personas only the figures are compared, not the facts.",
            )
        )
    elif found.persona_changed:
        told.append(say(zh="两次之间人设改过。", en="The persona was edited between the two."))
    if found.settings_changed:
        words = subject_words(found.settings_changed)
        told.append(
            say(
                zh=f"两次的{words}不一样，数字只能大致比比。",
                en=f"The two differ in {words}: compare their figures with a grain of salt.",
            )
        )
    if not found.cells:
        told.append(
            say(
                zh="两次没有一个深度是都测过的，没法比。把两次测得一样细再来。",
                en="No depth was measured in both, so there is nothing to compare. Measure both "
                "equally closely.",
            )
        )
    elif places := _alone(found, before, after):
        told.append(
            say(zh=f"只有一边测过、没有比的：{places}。", en=f"Measured in one only: {places}.")
        )
    if before.persona == after.persona:
        told += _facts_alone(found, names)
    return told


def _alone(found: Difference, before: Retention, after: Retention) -> str:
    """Name the places that only one of the two measured."""
    shared = {(cell.history, 0 if cell.history == "long" else cell.depth) for cell in found.cells}
    every = {
        (cell.history, 0 if cell.history == "long" else cell.depth): None
        for cell in (*before.cells, *after.cells)
    }
    left = [place for place in every if place not in shared]
    return ", ".join(f"{history_name(h)} k={k}" if k else history_name(h) for h, k in left)


def _facts_alone(found: Difference, names: tuple[str, str]) -> list[str]:
    told = []
    for name, facts in zip(names, (found.only_before, found.only_after), strict=True):
        if facts:
            listed = ", ".join(facts)
            told.append(
                say(zh=f"只有 {name} 有的事实：{listed}", en=f"Facts of {name} alone: {listed}")
            )
    return told


def _headline(cells: Sequence[CellChange], facts: Sequence[FactChange] | None = None) -> str:
    """Return the changes that matter most: at the greatest depth of small talk that both have."""
    neutral = [cell for cell in cells if cell.history == "neutral"]
    last = (neutral or list(cells))[-1]
    where = f"{history_name(last.history)} k={last.depth}"
    shown = [
        _tile(f"Recall · {where}", _moved(last.recall)),
        _tile(f"TrainPair · {where}", _moved(last.train_pair)),
        _tile(f"Leak · {where}", _moved(last.leaks, bad=True)),
    ]
    if facts is not None:
        better, worse = (len({c.fact for c in facts if c.better is up}) for up in (True, False))
        counts = f'<em class="up">↑ {better}</em> <em class="down">↓ {worse}</em>'
        shown.append(_tile(say(zh="变好、变坏的事实", en="facts better, worse"), counts))
    return f'<div class="tiles">{"".join(shown)}</div>'


def _tile(name: str, value: str) -> str:
    return f'<div class="tile"><span class="name">{escape(name)}</span><b>{value}</b></div>'


def _moved(pair: Pair, *, bad: bool = False) -> str:
    """Return ``94% → 97% +3`` as HTML, the points of a percent in the colour of their worth."""
    before, after = pair
    text = f"{_percent(before)} → {_percent(after)}"
    if before is None or after is None:
        return text
    points = round((after - before) * 100) if before == before and after == after else 0
    if not points:
        return text
    kind = "up" if (points > 0) is not bad else "down"
    return f'{text} <em class="{kind}">{points:+d}</em>'


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _figures(cells: Sequence[CellChange]) -> str:
    headings = (say(zh="先聊", en="after"), "k", "Recall", "TrainPair", "Leak")
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    rows = "".join(
        f"<tr><th>{escape(history_name(cell.history))}</th><td>{cell.depth}</td>"
        f"<td>{_moved(cell.recall)}</td><td>{_moved(cell.train_pair)}</td>"
        f"<td>{_moved(cell.leaks, bad=True)}</td></tr>"
        for cell in cells
    )
    title = say(zh="每个深度的数字", en="The figures at each depth")
    return (
        f'<h3>{title}</h3><div class="sheet"><table class="arms"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _facts(found: Difference) -> str:
    """Return the facts that changed, with an arrow where they did."""
    title = say(zh="变了的事实", en="Facts that changed")
    if not found.facts:
        none = say(zh="没有一条事实变好或变坏。", en="No fact got better or worse.")
        return f"<h3>{title}</h3><p>{none}</p>"
    places = [(cell.history, cell.depth) for cell in found.cells]
    changed = {(c.fact, c.history, c.depth): c for c in found.facts}
    rows = []
    for fact in dict.fromkeys(change.fact for change in found.facts):
        tds = "".join(f"<td>{_arrow(changed.get((fact, *place)))}</td>" for place in places)
        rows.append(f"<tr><th>{escape(fact)}</th>{tds}</tr>")
    return (
        f'<h3>{title}</h3><div class="sheet"><table class="fact-depth"><thead>{_headings(places)}'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _headings(places: Sequence[tuple[History, int]]) -> str:
    upper = "".join(
        f'<th class="first" colspan="{len(list(group))}">{escape(history_name(history))}</th>'
        for history, group in groupby(places, key=lambda place: place[0])
    )
    lower = "".join(f"<th>{depth}</th>" for _, depth in places)
    return f"<tr><th></th>{upper}</tr><tr><th>k</th>{lower}</tr>"


def _arrow(change: FactChange | None) -> str:
    if change is None:
        return ""
    kind, sign = ("right", "↑") if change.better else ("wrong", "↓")
    counts = f"{_counted(change.before)}→{_counted(change.after)}"
    if change.after.leaked:
        kind, sign = "leak", f"{sign}!"
    return f'<span class="v {kind}">{sign} {counts}</span>'


def _counted(count: Count) -> str:
    return f"{count.right}/{count.right + count.wrong + count.leaked}"
