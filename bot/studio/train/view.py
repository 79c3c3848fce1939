"""Trainings as HTML: pieces that change only when there is something new to see.

Whatever comes from a file or from a model is escaped here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bot.studio.train.chart import curves
from bot.studio.train.panels import phase_name, reason_panel, span
from bot.studio.train.watch import Training
from trainer.language import say
from trainer.probe_file import Answered, Reply

COLUMNS = 4
"""Answers to one question that stand side by side."""


def headline(training: Training) -> str:
    """Return what a training is called, how far it is, and its figures."""
    if training.phase == "none" and not training.run:
        return _empty()
    chip = f'<span class="chip {training.phase}">{phase_name(training.phase)}</span>'
    return (
        f'<div class="train-head"><h3>{escape(training.run)}</h3>{chip}</div>'
        f"{_bar(training)}{_figures(training)}{_note(training)}"
    )


def curves_panel(training: Training) -> str:
    """Return the curves, with their legend."""
    last = training.log.last
    names = {
        "loss": say(zh="训练 loss", en="training loss"),
        "dev": say(zh="检验 loss（没教过的问法）", en="dev loss (wordings never taught)"),
    }
    legend = "".join(
        f'<span><i class="key {name}"></i>{told}</span>' for name, told in names.items()
    )
    steps = last.steps if last else 100
    return f'<div class="legend">{legend}</div>{curves(training.log.points, steps)}'


def probes_panel(training: Training) -> str:
    """Return what it answered to the same questions, earliest to latest."""
    title = f"<h3>{say(zh='边学边答', en='What it answers as it learns')}</h3>"
    if not training.probes:
        return f'{title}<p class="quiet">{_no_probes(training)}</p>'
    chosen = _spread(training.probes)
    questions = [reply.question for reply in training.probes[-1].replies]
    asked = (_asked(question, number, chosen) for number, question in enumerate(questions))
    return title + "".join(asked)


# --- a training ------------------------------------------------------------------------------


def _empty() -> str:
    return (
        f"<h3>{say(zh='还没有训练过', en='Nothing was trained yet')}</h3>"
        f'<p class="quiet">{_invitation()}</p>'
    )


def _invitation() -> str:
    return say(
        zh="选一个人设，按“开始训练”。学到哪儿了、怎么答的，这里都看得到。",
        en="Choose a persona and press Start. What it learns, and how it answers, shows here.",
    )


def _bar(training: Training) -> str:
    last = training.log.last
    done = last.step / last.steps if last else 0.0
    told = f"{last.step:,} / {last.steps:,}" if last else "0"
    return (
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{done * 100:.0f}" aria-label="{told}">'
        f'<div class="{training.phase}" style="width:{done * 100:.1f}%"></div></div>'
    )


def _figures(training: Training) -> str:
    log, last = training.log, training.log.last
    running = training.phase in ("running", "stopping")
    left = log.left if running else None
    cells = [
        (say(zh="步", en="step"), f"{last.step:,} / {last.steps:,}" if last else "–"),
        ("loss", f"{last.loss:.3f}" if last else "–"),
        (say(zh="检验", en="dev"), _number(log.latest("dev_loss"))),
        *_retention(training),
        ("token/s", f"{log.speed:,.0f}" if log.speed else "–"),
        (say(zh="还需", en="left"), span(left) if left is not None else "–"),
    ]
    told = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells)
    return f'<dl class="figures">{told}</dl>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _retention(training: Training) -> list[tuple[str, str]]:
    share = training.log.latest("retention")
    if share is None:
        return []
    return [(say(zh="隔 8 轮还记得", en="kept after talk"), f"{share:.0%}")]


def _note(training: Training) -> str:
    """Say what is going on, or what to do next."""
    job = training.job
    if training.phase == "failed" and job:
        return reason_panel(job.reason)
    if training.phase == "stopped" and job and job.reason:
        return reason_panel(job.reason)
    return f'<p class="note">{escape(_told(training))}</p>'


def _told(training: Training) -> str:
    last = training.log.last
    if training.phase == "waiting":
        return say(
            zh=f"前面还有 {training.ahead} 个。轮到它就自己开始，关掉网页也一样。",
            en=f"{training.ahead} before it. It starts by itself, with the page closed too.",
        )
    if training.phase == "running" and last is None:
        doing = training.said or say(zh="准备", en="getting ready")
        return say(zh=f"{doing}…", en=f"{doing}…")
    if training.phase == "running":
        return say(
            zh="可以关掉网页，训练会继续；回来就能看到。",
            en="You may close the page: it goes on, and shows here when you are back.",
        )
    if training.phase == "stopping":
        return say(zh="做完这一步就存盘停下。", en="It saves after this step, then stops.")
    if training.phase == "done":
        return say(
            zh="下一步：去“对话”和它聊聊，或去“评测”看它记得多牢。",
            en="Next: talk to it in Chat, or see in Evaluate how well it stays itself.",
        )
    if training.can_resume:
        return say(
            zh="已经存盘，可以从这里继续；也可以先去聊聊看。",
            en="It is saved: go on from here, or talk to it as it is.",
        )
    return say(
        zh="还没来得及存盘就停下了，可以再来一次。",
        en="It stopped before anything was saved; it can be started again.",
    )


# --- the same questions ----------------------------------------------------------------------


def _no_probes(training: Training) -> str:
    if training.phase in ("waiting", "running", "none"):
        return say(
            zh="训练时会一再问它几个没教过的问法，回答排在这里，看它慢慢变成自己。",
            en="While it learns it is asked the same few questions, in wordings it is not taught; "
            "the answers stand here side by side.",
        )
    return say(zh="这次训练没有边练边问。", en="This training was not asked anything on the way.")


def _spread(probes: Sequence[Answered]) -> list[Answered]:
    """Return the first, the last, and some between."""
    if len(probes) <= COLUMNS:
        return list(probes)
    last = len(probes) - 1
    return [probes[round(last * part / (COLUMNS - 1))] for part in range(COLUMNS)]


def _asked(question: str, number: int, chosen: Sequence[Answered]) -> str:
    cells = "".join(
        _answer(answered.step, answered.replies[number])
        for answered in chosen
        if number < len(answered.replies)
    )
    return (
        f'<section class="asked"><h4>{escape(question)}</h4>'
        f'<div class="answers">{cells}</div></section>'
    )


def _answer(step: int, reply: Reply) -> str:
    mark = {True: "✓", False: "✗", None: ""}[reply.right]
    told = {True: say(zh="对", en="right"), False: say(zh="不对", en="wrong"), None: ""}
    state = {True: "right", False: "wrong", None: ""}[reply.right]
    when = (
        say(zh="训练前", en="before") if step == 0 else say(zh=f"第 {step} 步", en=f"step {step}")
    )
    said = escape(reply.reply) or say(zh="（没说话）", en="(said nothing)")
    return (
        f'<div class="answer {state}"><small>{when} '
        f'<b title="{told[reply.right]}">{mark}</b></small><p>{said}</p></div>'
    )
