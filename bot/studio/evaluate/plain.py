"""The plain evaluation as HTML: the base, the base told who it is, and the tuned persona."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from bot.studio.evaluate.results import Results
from bot.studio.evaluate.view import note
from trainer.evaluation_file import ARMS, ArmScores, Column, Evaluation
from trainer.language import say

SHOWN_REPLIES = 6
"""Questions whose replies are shown at once."""

Row = tuple[str, str, Callable[[ArmScores], str]]


def side_by_side(found: Results) -> str:
    """Return the figures in three columns, what is left after some talk, and the replies."""
    evaluation = found.evaluation
    if evaluation is None:
        return _explained()
    old = say(
        zh="这些数字是训练得更早的时候测的。重新比一次才是现在的它。",
        en="These figures are of before it was trained on. Compare again for what it is now.",
    )
    return "".join(
        [
            note(old) if found.evaluation_is_old else "",
            f"<h3>{say(zh='训练前后', en='Before and after training')}</h3>",
            _arms(evaluation),
            f"<h3>{say(zh='先闲聊几轮再问', en='Asked after some small talk')}</h3>",
            _depths(evaluation),
            _replies(found.replies),
        ]
    )


def arm_names() -> dict[str, str]:
    """Name the columns for people."""
    return {
        "base": say(zh="底座", en="base"),
        "prompted": say(zh="底座+自述", en="base + summary"),
        "tuned": say(zh="训练后", en="tuned"),
    }


def _explained() -> str:
    told = say(
        zh="还没有比过。按“和底座比一比”：同样的问题问三遍，问没训练过的底座、问被告知人设的底座、"
        "问训练后的它，看训练带来了什么。",
        en="Not compared yet. Press “Compare with the base”: the same questions are put to the "
        "untrained base, to the base told who it is, and to the tuned one, to show what the "
        "training brought.",
    )
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(told)}</td></tr>" for name, told, _ in _rows()
    )
    return f'<p class="lead">{escape(told)}</p><table class="meanings">{rows}</table>'


def _rows() -> Sequence[Row]:
    """Return each figure: its name, a sentence for someone who never heard of it, its text."""
    return [
        (
            say(zh="答对", en="right"),
            say(zh="回答里有该说的内容", en="the reply says what it must"),
            lambda arm: _share(arm.recall),
        ),
        (
            say(zh="自相矛盾", en="contradictions"),
            say(zh="回答和事实相反，越少越好", en="the reply says the opposite; fewer is better"),
            lambda arm: _share(arm.contradictions),
        ),
        (
            say(zh="露馅", en="leaks"),
            say(
                zh="回答露出底层模型的马脚，越少越好",
                en="the reply gives the base model away; fewer is better",
            ),
            lambda arm: _share(arm.leaks),
        ),
        (
            "BLEU-4",
            say(
                zh="和你写的回答有多少连着四个字一样，满分 100",
                en="how many runs of four letters are those of your answer, 100 at most",
            ),
            lambda arm: f"{arm.bleu_4:.1f}",
        ),
        (
            "ROUGE-1",
            say(zh="你写的词它说到了多少", en="how many of your words it says"),
            lambda arm: f"{arm.rouge_1:.1f}",
        ),
        (
            "ROUGE-2",
            say(zh="你写的相邻两个词它说到了多少", en="how many of your pairs of words it says"),
            lambda arm: f"{arm.rouge_2:.1f}",
        ),
        (
            "ROUGE-L",
            say(zh="按顺序说到了多少", en="how much of it in your order"),
            lambda arm: f"{arm.rouge_l:.1f}",
        ),
        (
            "chrF",
            say(
                zh="逐字比有多像，60 以上就算答得和你写的一样",
                en="how alike letter by letter; from 60 on it counts as your answer",
            ),
            lambda arm: "–" if arm.chrf is None else f"{arm.chrf * 100:.1f}",
        ),
    ]


def _arms(evaluation: Evaluation) -> str:
    names = arm_names()
    arms = [(name, evaluation.arms[name]) for name in ARMS if name in evaluation.arms]
    head = "".join(f"<th>{escape(names[name])}</th>" for name, _ in arms)
    rows = "".join(
        f"<tr><th>{escape(name)}<i>{escape(told)}</i></th>"
        + "".join(f'<td class="{arm}">{escape(text(scores))}</td>' for arm, scores in arms)
        + "</tr>"
        for name, told, text in _rows()
    )
    return (
        f'<div class="sheet"><table class="arms"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _depths(evaluation: Evaluation) -> str:
    headings = (
        say(zh="闲聊轮数", en="rounds before"),
        say(zh="教过的问法，答对", en="taught wordings, right"),
        say(zh="没教过的问法，答对", en="new wordings, right"),
        say(zh="露馅", en="leaks"),
    )
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    rows = "".join(
        f"<tr><th>{row.depth}</th><td>{_share(row.train_pair)} <i>/ {row.train_pairs}</i></td>"
        f"<td>{_share(row.recall)} <i>/ {row.recalls}</i></td><td>{_share(row.leaks)}</td></tr>"
        for row in evaluation.depths
    )
    return (
        f'<div class="sheet"><table class="arms"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _replies(replies: Sequence[Column]) -> str:
    if not replies:
        return ""
    title = say(zh="同一个问题，三种回答", en="The same question, three replies")
    cards = [_card(row) for row in replies]
    more = say(zh=f"另外 {len(cards) - SHOWN_REPLIES} 个问题", en="the other questions")
    rest = cards[SHOWN_REPLIES:]
    folded = f"<details><summary>{more}</summary>{''.join(rest)}</details>" if rest else ""
    return f"<h3>{title}</h3>{''.join(cards[:SHOWN_REPLIES])}{folded}"


def _card(row: Column) -> str:
    nothing = say(zh="（什么也没说）", en="(nothing)")
    said = "".join(
        f'<div class="{arm}"><small>{escape(name)}</small>'
        f"{escape(getattr(row, arm)) or nothing}</div>"
        for arm, name in arm_names().items()
    )
    written = say(zh="你写的", en="you wrote")
    return (
        f'<div class="trio"><div class="bubble user">{escape(row.prompt)}</div>'
        f'<p class="soft">{written}: {escape(row.reference)}</p>'
        f'<div class="three">{said}</div></div>'
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"
