"""The results of one run as HTML: figures that explain themselves, curves, and the facts.

Whatever a model or an author wrote is escaped: a reply may well be HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bot.studio.evaluate.results import Results
from trainer.bootstrap import Figure
from trainer.errors import Fault
from trainer.language import say
from trainer.persona import Persona
from trainer.report_facts import SIGNS, badge_class, fact_table, replies_of, signs, worst
from trainer.report_parts import charts, figures, key, measures
from trainer.retention_file import Cell, Reply, Retention
from trainer.retention_remarks import nats, remarks, share

TELLING = 3
"""Measures whose curves are shown at once; the others are folded away."""


def framed(*parts: str) -> str:
    """Return parts in the frame that the style of the tab applies to."""
    inner = "".join(parts)
    return f'<div class="ev">{inner}</div>' if inner else ""


def fault_box(faults: Iterable[Fault]) -> str:
    """Return faults as a box: where, what, and what to do about it."""
    lines = []
    for fault in faults:
        place = f"<code>{escape(fault.place)}</code> " if fault.place else ""
        fix = f"<p>→ {escape(fault.fix)}</p>" if fault.fix else ""
        lines.append(f"<li>{place}{escape(fault.problem)}{fix}</li>")
    return f'<ul class="fault-box" role="alert">{"".join(lines)}</ul>' if lines else ""


def note(text: str) -> str:
    """Return a sentence that one should know before one reads the figures."""
    return f'<p class="note">{escape(text)}</p>'


def headline(found: Results) -> str:
    """Return what was measured: the persona, its base, how long it was trained."""
    card = found.card
    if card is None:
        return ""
    bits = card.bits or say(zh="不量化", en="not quantized")
    facts = say(
        zh=f"底座 {card.base}，位数 {bits}，训练了 {card.step} 步",
        en=f"base {card.base}, bits {bits}, trained for {card.step} steps",
    )
    return f'<p class="who"><b>{escape(card.persona.name)}</b> <span>{escape(facts)}</span></p>'


def explained() -> str:
    """Return what the measures mean, for a run that has none."""
    told = say(
        zh="还没有测过。选好要测得多细，按“测人设保持”：先和它闲聊几轮，再问它是谁、喜欢什么，"
        "看它还是不是它。",
        en="Nothing is measured yet. Choose how closely to look and press “Measure retention”: it "
        "is talked to for some rounds, then asked who it is, to see whether it stays itself.",
    )
    tiles = "".join(
        f'<div class="tile"><span class="name">{escape(name)}</span><p>{escape(meaning)}</p></div>'
        for name, meaning in meanings().items()
    )
    return f'<p class="lead">{escape(told)}</p><div class="tiles">{tiles}</div>'


def meanings() -> dict[str, str]:
    """Return each figure in a sentence for someone who never heard of it."""
    return {
        "Recall": say(
            zh="换成它没学过的问法来问，一百次里答对多少次。",
            en="Asked in words it never learned: how many of a hundred answers are right.",
        ),
        "TrainPair": say(
            zh="用教过它的原话来问，一百次里有多少次答得和你写的差不多。",
            en="Asked in the very words it was taught: how many of a hundred answers are nearly "
            "what you wrote.",
        ),
        "Leak": say(
            zh="一百次里有多少次说漏嘴，露出底层模型的马脚。越少越好。",
            en="How many of a hundred answers give the base model away. The fewer the better.",
        ),
        say(zh="保持", en="Held"): say(
            zh="把各个深度的 Recall 合成一个数：聊得再久也不忘，就是 100%。",
            en="Recall at all depths in one figure: 100 % if it forgets nothing, however long "
            "you talk.",
        ),
        say(zh="遗忘", en="Forgetting"): say(
            zh="用上人设以后，普通闲聊变生疏了多少。0 是毫无影响，越大越不会聊别的。",
            en="How much worse it gets at ordinary talk with the persona on. 0 is not at all; "
            "the more, the less it can speak of anything else.",
        ),
    }


def tiles(retention: Retention) -> str:
    """Return the figures that matter most, each with its meaning."""
    cells = [cell for cell in retention.curve("neutral") if cell.history == "neutral"]
    first, last = cells[0], cells[-1]
    after = say(zh=f"聊了 {last.depth} 轮以后", en=f"after {last.depth} rounds of talk")
    overall = say(zh="所有深度", en="all depths")
    forgetting = retention.forgetting.figure if retention.forgetting else None
    recall, taught, leak, held, lost = meanings().items()
    shown = [
        _tile(recall, after, last.recall, first.recall),
        _tile(taught, after, last.train_pair, first.train_pair),
        _tile(leak, after, last.leaks, first.leaks, bad=True),
        _tile(held, overall, retention.areas.get("neutral")),
    ]
    if forgetting:
        unit = say(zh="奈特/token", en="nats a token")
        shown.append(_tile_of(lost, unit, nats(forgetting, interval=False)))
    return f'<div class="tiles">{"".join(shown)}</div>'


def _tile(
    named: tuple[str, str],
    where: str,
    figure: Figure | None,
    at_first: Figure | None = None,
    *,
    bad: bool = False,
) -> str:
    value = share(figure, interval=False)
    meter = _meter(figure, bad=bad) if figure else ""
    before = ""
    if at_first is not None and at_first is not figure:
        told = share(at_first, interval=False)
        before = say(zh=f"一开始就问是 {told}。", en=f"Asked at once: {told}.")
    return _tile_of(named, where, value, meter, before)


def _tile_of(
    named: tuple[str, str], where: str, value: str, meter: str = "", more: str = ""
) -> str:
    name, meaning = named
    return (
        f'<div class="tile"><span class="name">{escape(name)} <i>{escape(where)}</i></span>'
        f"<b>{escape(value)}</b>{meter}"
        f"<p>{escape(meaning)} {escape(more)}</p></div>"
    )


def _meter(figure: Figure, *, bad: bool) -> str:
    """Return a bar as long as a share, and over it a line as wide as its interval."""
    if not 0 <= figure.value <= 1:  # a checkpoint that diverged
        return ""
    span = ""
    if figure.low is not None and figure.high is not None:
        left, wide = figure.low * 100, (figure.high - figure.low) * 100
        told = share(figure)
        span = f'<u style="left:{left:.0f}%;width:{wide:.0f}%" title="{told}"></u>'
    kind = "meter bad" if bad else "meter"
    return f'<div class="{kind}"><s style="width:{figure.value:.0%}"></s>{span}</div>'


def age(found: Results) -> str:
    """Return a warning if the figures are of before the run was trained on."""
    if not found.retention_is_old:
        return ""
    told = say(
        zh="这些数字是训练得更早的时候测的。重新测一遍才是现在的它。",
        en="These figures are of before it was trained on. Measure again for what it is now.",
    )
    return note(told)


def footnotes(retention: Retention) -> str:
    """Return what was not measured, and why."""
    lines = "".join(f"<li>{escape(line)}</li>" for line in remarks(retention))
    return f'<ul class="footnotes">{lines}</ul>' if lines else ""


def curves(retention: Retention) -> str:
    """Return the curves over depth, and all the figures folded away."""
    every = measures()
    first, others = list(charts(retention, every[:TELLING])), charts(retention, every[TELLING:])
    intro = say(
        zh="从左到右聊得越来越久。线越平，它越不会忘记自己。",
        en="From left to right ever deeper in a conversation. The flatter the line, the better "
        "it stays itself.",
    )
    more = say(zh="更多曲线和全部数字", en="more curves and all figures")
    return (
        f"<h3>{say(zh='聊得越久，还是不是它', en='Is it still itself as the talk goes on?')}</h3>"
        f'<p class="soft">{escape(intro)}</p>{key()}<div class="charts">{"".join(first)}</div>'
        f'<details><summary>{escape(more)}</summary><div class="charts">{"".join(others)}</div>'
        f"{figures(retention)}</details>"
    )


def fact_grid(found: Results, *, only_bad: bool = False) -> str:
    """Return the table of facts and depths; each place is a button."""
    retention = found.retention
    if retention is None:
        return ""
    questions = _first_questions(found.card.persona if found.card else None)
    facts = [fact for fact in retention.facts if not only_bad or not _all_right(retention, fact)]
    if not facts:
        told = say(zh="每条事实在每个深度都答对了 🎉", en="Every fact is right at every depth 🎉")
        return f'<p class="lead">{escape(told)}</p>'

    def named(fact: str) -> str:
        asked = questions.get(fact, "")
        return f'<span title="{escape(asked)}">{escape(fact)}<i>{escape(asked)}</i></span>'

    return signs() + fact_table(retention, facts=facts, shown=_button, named=named)


def _button(fact: str, cell: Cell, replies: Sequence[Reply]) -> str:
    verdict, counted = worst(replies)
    return (
        f'<button type="button" class="v {badge_class(verdict)}" data-fact="{escape(fact)}" '
        f'data-history="{cell.history}" data-depth="{cell.depth}">'
        f"{SIGNS[verdict]} {counted}</button>"
    )


def _all_right(retention: Retention, fact: str) -> bool:
    replies = [reply for cell in retention.cells for reply in replies_of(cell, fact)]
    return all(reply.verdict == "right" for reply in replies)


def _first_questions(persona: Persona | None) -> dict[str, str]:
    return {fact.id: fact.ask[0] for fact in persona.facts} if persona else {}
