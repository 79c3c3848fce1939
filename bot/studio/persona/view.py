"""Pieces of the Persona tab that are drawn as HTML: faults, the table of facts, talk, diffs.

Everything that comes from a file or a visitor is escaped here, in one place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from html import escape

from bot.studio.persona.advice import extent
from bot.studio.persona.check import Checked
from trainer.errors import Fault, RensheError
from trainer.language import say
from trainer.strict_yaml import Document, Loc
from trainer.talk import Intent

SHOWN = 100
"""Faults, and lines of a difference, that are listed; more come from a wrong file."""

QUOTED = 120
"""Characters of a line that are quoted."""


def faults(checked: Checked, text: str) -> str:
    """List what is wrong or unwise, each with its line; a click leads to the line."""
    if not checked.faults:
        return f"<p class='fine'>{say(zh='✓ 没有错误，也没有建议', en='✓ Nothing to mend')}</p>"
    lines = text.split("\n")
    rows = "".join(_fault(fault, lines) for fault in checked.faults[:SHOWN])
    more = len(checked.faults) - SHOWN
    rest = f"<p>{say(zh=f'还有 {more} 条', en=f'{more} more')}</p>" if more > 0 else ""
    return f"<div class='fault-list'>{rows}</div>{rest}"


def _fault(fault: Fault, lines: Sequence[str]) -> str:
    line = lines[fault.line - 1].strip() if 0 < fault.line <= len(lines) else ""
    quote = f"<code>{escape(line[:QUOTED])}</code>" if line else ""
    kind = _kind(fault)
    place = say(zh=f"第 {fault.line} 行", en=f"line {fault.line}") if fault.line else ""
    return (
        f"<button class='fault {fault.severity}' data-line='{fault.line}' "
        f"data-column='{fault.column}' data-severity='{fault.severity}'>"
        f"<span class='kind'>{kind}</span><span class='where'>{place}</span>"
        f"<span class='what'>{escape(fault.problem)}</span>{quote}"
        f"<span class='fix'>→ {escape(fault.fix)}</span></button>"
    )


def _kind(fault: Fault) -> str:
    if fault.severity == "error":
        return say(zh="错误", en="Error")
    return say(zh="建议", en="Advice")


def brief_faults(found: Sequence[Fault]) -> str:
    """List the faults of one fact, beside its fields."""
    if not found:
        return ""
    rows = "".join(
        f"<li class='{fault.severity}'>{escape(fault.problem)} "
        f"<span class='fix'>→ {escape(fault.fix)}</span></li>"
        for fault in found[:8]
    )
    return f"<ul class='brief'>{rows}</ul>"


def error(mistake: RensheError, headline: str = "") -> str:
    """Show a mistake under a headline: its problems and what to do about each."""
    rows = "".join(
        f"<li>{escape(fault.problem)}"
        + (f" <span class='fix'>→ {escape(fault.fix)}</span>" if fault.fix else "")
        + "</li>"
        for fault in mistake.faults[:8]
    )
    lead = f"<b>{escape(headline)}</b>" if headline else ""
    return f"{lead}<ul class='brief error'>{rows}</ul>"


def status(checked: Checked, saved: str) -> str:
    """Show in one line whether it is saved, how much there is and how good it is.

    Args:
        checked: the text's check.
        saved: what is to be said of its being saved, as HTML.
    """
    chips = [f"<span class='saved'>{saved}</span>"]
    if checked.persona is not None:
        size = extent(checked.persona)
        chips += [
            _chip(size.facts, say(zh="条事实", en="facts")),
            _chip(size.wordings, say(zh="种问法", en="wordings")),
            _chip(size.dialogues, say(zh="段对话", en="dialogues")),
        ]
    errors, advice = len(checked.errors), len(checked.warnings)
    chips.append(
        _chip(errors, say(zh="个错误", en="errors" if errors != 1 else "error"), "error")
        if errors
        else f"<span class='fine'>{say(zh='✓ 能训练', en='✓ ready to train')}</span>"
    )
    if advice:
        chips.append(_chip(advice, say(zh="条建议", en="pieces of advice"), "warning"))
    return f"<div class='status' role='status'>{''.join(chips)}</div>"


def _chip(number: int, unit: str, kind: str = "") -> str:
    return f"<span class='amount {kind}'><b>{number}</b> {unit}</span>"


def facts_table(checked: Checked, current: int) -> str:
    """Draw the facts, a row each, with a mark where something is wrong."""
    document = checked.document
    if document is None:
        return ""
    found = document.members("facts")
    if not found:
        text = say(zh="还没有事实，点“加一条事实”", en="No facts yet: add one")
        return f"<p class='none'>{text}</p>"
    heads = (
        "id",
        say(zh="问法", en="Wordings"),
        say(zh="回答", en="Answers"),
        say(zh="对的回答里有", en="Expect"),
        say(zh="自相矛盾", en="Reject"),
    )
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    rows = "".join(
        _fact(document, fact, checked.inside(*fact), index == current)
        for index, fact in enumerate(found)
    )
    return f"<table class='facts'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _fact(document: Document, loc: Loc, found: Sequence[Fault], current: bool) -> str:
    worst = "error" if any(one.severity == "error" for one in found) else "warning"
    mark = f"<i class='mark {worst}' title='{len(found)}'>●</i>" if found else ""
    name = " ".join(_texts(document, *loc, "id")) or "?"
    ask = _texts(document, *loc, "ask")
    cells = (
        f"<b class='count'>{len(ask)}</b> {escape(' · '.join(ask))}",
        escape(" · ".join(_texts(document, *loc, "answer"))),
        f"<code>{escape(' '.join(_texts(document, *loc, 'expect')))}</code>",
        f"<code>{escape(' '.join(_texts(document, *loc, 'reject')))}</code>",
    )
    row = "".join(f"<td><div>{cell}</div></td>" for cell in cells)
    here = " aria-current='true'" if current else ""
    button = f"<button>{escape(name)}</button>{mark}"
    return f"<tr data-fact='{loc[-1]}'{here}><th scope='row'>{button}</th>{row}</tr>"


def talks_list(checked: Checked, current: int) -> str:
    """Draw the dialogues, a row each: how it begins, and how many turns it has."""
    document = checked.document
    found = document.members("dialogues") if document is not None else []
    if document is None or not found:
        text = say(zh="还没有整段对话", en="No dialogues yet")
        return f"<p class='none'>{text}</p>"
    rows = "".join(_talk(document, loc, checked.inside(*loc), current) for loc in found)
    return f"<table class='facts talks'><tbody>{rows}</tbody></table>"


def _talk(document: Document, loc: Loc, found: Sequence[Fault], current: int) -> str:
    turns = document.members(*loc)
    first = _texts(document, *turns[0], "user") if turns else []
    mark = f"<i class='mark {found[0].severity}'>●</i>" if found else ""
    here = " aria-current='true'" if loc[-1] == current else ""
    begin = escape((first or ["…"])[0])
    return (
        f"<tr data-fact='{loc[-1]}'{here}><th scope='row'><button>{int(loc[-1]) + 1}</button>{mark}"
        f"</th><td><div>{begin}</div></td><td class='count'>{len(turns)}</td></tr>"
    )


def _texts(document: Document, *loc: int | str) -> list[str]:
    return [text for _, text in document.texts(*loc)]


def bubbles(turns: Iterable[tuple[str, str]], *, faint: int = 0) -> str:
    """Draw a conversation.

    Args:
        turns: (``user`` or ``bot``, text).
        faint: turns at the beginning that are only the history.
    """
    drawn = "".join(
        f"<p class='{speaker}{' faint' if index < faint else ''}'>{escape(text)}</p>"
        for index, (speaker, text) in enumerate(turns)
    )
    return f"<div class='bubbles'>{drawn}</div>"


def missing(intents: Sequence[Intent]) -> str:
    """Offer the questions that people ask and no fact answers; a click makes a fact of one."""
    if not intents:
        return f"<p class='fine'>{say(zh='✓ 常被问到的都有了', en='✓ All usual questions')}</p>"
    titles = {
        "identity": say(zh="关于它自己", en="About itself"),
        "profile": say(zh="喜好和日常", en="Tastes and days"),
        "probe": say(zh="追问它是不是模型", en="Is it not some model?"),
    }
    groups = ""
    for kind, name in titles.items():
        chips = "".join(_intent(one) for one in intents if one.kind == kind)
        groups += f"<h4>{name}</h4><div class='chips'>{chips}</div>" if chips else ""
    return groups


def _intent(intent: Intent) -> str:
    others = escape(" / ".join(intent.wordings[:4]))
    said = escape(intent.wordings[0])
    return f"<button data-intent='{escape(intent.name)}' title='{others}'>{said}</button>"


def wordings(texts: Sequence[str]) -> str:
    """Offer other wordings of a question; a click adds one."""
    if not texts:
        return ""
    chips = "".join(
        f"<button data-wording='{escape(text)}'>＋ {escape(text)}</button>" for text in texts
    )
    lead = say(zh="也有人这么问，点一下加上：", en="People also ask; click to add:")
    return f"<p class='lead'>{lead}</p><div class='chips'>{chips}</div>"


def difference(former: str, later: str) -> str:
    """Draw which lines go and which come from one text to another."""
    steps = difflib.unified_diff(former.split("\n"), later.split("\n"), lineterm="", n=1)
    kinds = {"+": "added", "-": "removed", "@": "skipped"}
    rows = [
        f"<div class='{kinds.get(line[:1], '')}'>{escape(line) if line[:1] != '@' else '…'}</div>"
        for line in list(steps)[2:]
    ]
    if not rows:
        return f"<p class='none'>{say(zh='没有差别', en='No difference')}</p>"
    more = len(rows) - SHOWN
    rest = f"<div>{say(zh=f'… 还有 {more} 行', en=f'… {more} more lines')}</div>"
    return f"<div class='difference'>{''.join(rows[:SHOWN])}{rest if more > 0 else ''}</div>"


def kinds_table(counts: Sequence[tuple[str, int, str]]) -> str:
    """Draw how many examples of each kind there are, and what each is for."""
    most = max((number for _, number, _ in counts), default=1)
    rows = "".join(
        f"<tr><th scope='row'>{kind}</th><td class='count'>{number}</td>"
        f"<td class='bar'><i style='width:{100 * number // most}%'></i></td>"
        f"<td>{escape(why)}</td></tr>"
        for kind, number, why in counts
    )
    return f"<table class='kinds'><tbody>{rows}</tbody></table>"
