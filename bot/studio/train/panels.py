"""What stands around a training as HTML: its cost before, the queue, and what is wrong.

Whatever comes from a person, a file or a process is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bot.studio.jobs import Job
from bot.studio.train.cost import Cost
from bot.studio.train.watch import Phase
from trainer.errors import Fault
from trainer.language import say

OVERDONE = 100
"""Epochs that are far too many, as :attr:`trainer.train.Plan.overdone` has it."""


def cost_panel(cost: Cost | None, told: str = "") -> str:
    """Return what a training will take, or what is being done to find out."""
    if cost is None:
        return f'<div class="cost"><p class="quiet">{escape(told)}</p></div>'
    figures = cost.figures
    rows = [
        (say(zh="时间", en="Time"), _time(cost), _how_known(cost)),
        (say(zh="内存", en="Memory"), _memory(cost), _room(cost)),
        (
            say(zh="步数", en="Steps"),
            f"{figures.steps:,}",
            say(zh=f"每条看 {figures.epochs:.0f} 遍", en=f"{figures.epochs:.0f} epochs")
            + f" · {figures.tokens:,} token",
        ),
    ]
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><small>{escape(note)}</small></div>"
        for name, value, note in rows
    )
    return f'<dl class="cost">{cells}</dl>{_cost_warnings(cost)}'


def queue_panel(all_jobs: Sequence[Job]) -> str:
    """Return what is in the queue; a waiting job has a button that takes it out."""
    title = f"<h3>{say(zh='队列', en='The queue')}</h3>"
    opened = [job for job in all_jobs if job.is_open]
    if not opened:
        told = say(
            zh="队列是空的。训练和评测一个一个地来。",
            en="It is empty. Trainings and evaluations take turns.",
        )
        return f'{title}<p class="quiet">{told}</p>'
    return f'{title}<ol class="queue">{"".join(map(_queued, opened))}</ol>'


def faults_panel(faults: Sequence[Fault]) -> str:
    """Return everything that is wrong, each with its place and its fix."""
    if not faults:
        return ""
    return f'<div class="faults" role="alert">{"".join(map(_fault, faults))}</div>'


def reason_panel(reason: str) -> str:
    """Return why a job failed: its lines of problem, and of fix after an arrow."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()][:16]
    told = "".join(
        f'<p class="fix">{escape(line)}</p>'
        if line.startswith("→")
        else f"<p><b>{escape(line)}</b></p>"
        for line in lines
    )
    return f'<div class="faults" role="alert">{told}</div>' if told else ""


def phase_name(phase: Phase) -> str:
    """Name how far a training is."""
    return {
        "none": "",
        "waiting": say(zh="排队中", en="waiting"),
        "running": say(zh="训练中", en="training"),
        "stopping": say(zh="正在存盘", en="saving"),
        "done": say(zh="练完了", en="done"),
        "failed": say(zh="失败", en="failed"),
        "stopped": say(zh="停下了", en="stopped"),
    }[phase]


def span(seconds: float) -> str:
    """Return a length of time in the two units that matter."""
    whole = max(0, round(seconds))
    if whole < 90:
        return say(zh=f"{whole} 秒", en=f"{whole} s")
    minutes = round(whole / 60)
    if minutes < 90:
        return say(zh=f"{minutes} 分钟", en=f"{minutes} min")
    hours, rest = divmod(minutes, 60)
    return say(zh=f"{hours} 小时 {rest} 分", en=f"{hours} h {rest} min")


# --- the queue -------------------------------------------------------------------------------


def _queued(job: Job) -> str:
    kind = {"train": say(zh="训练", en="train"), "eval": say(zh="评测", en="evaluate")}[job.kind]
    state = phase_name("stopping" if job.stopping else job.state)
    button = ""
    if job.state == "waiting":
        told = say(zh=f"把 {job.run} 移出队列", en=f"take {job.run} out of the queue")
        button = (
            f'<button type="button" data-job="{escape(job.id)}" aria-label="{escape(told)}">'
            f"{say(zh='移出', en='Take out')}</button>"
        )
    return (
        f"<li><span>{kind}</span><b>{escape(job.run)}</b>"
        f'<span class="chip {job.state}">{state}</span>{button}</li>'
    )


# --- the cost --------------------------------------------------------------------------------


def _time(cost: Cost) -> str:
    if cost.seconds is None:
        return "–"
    if cost.known_from:
        return say(zh="约 ", en="about ") + span(cost.seconds)
    return f"{span(cost.seconds / 2)} – {span(cost.seconds * 2)}"


def _how_known(cost: Cost) -> str:
    if cost.known_from:
        return say(
            zh=f"按 {cost.known_from} 在这台机器上的速度",
            en=f"at the speed of {cost.known_from} on this machine",
        )
    if cost.seconds is None:
        return say(zh="没在这张显卡上练过，不知道速度", en="nothing was trained on this card yet")
    return say(zh="粗略估计：这里还没用这个底座练过", en="a rough estimate: not measured here yet")


def _memory(cost: Cost) -> str:
    needed = cost.figures.memory
    return say(zh="计算中…", en="reckoning…") if needed is None else f"{needed / 1e9:.1f} GB"


def _room(cost: Cost) -> str:
    free = cost.figures.free
    if free is None:
        return say(zh="训练中最多的时候", en="at the most")
    return say(zh=f"现在空着 {free / 1e9:.1f} GB", en=f"{free / 1e9:.1f} GB are free now")


def _cost_warnings(cost: Cost) -> str:
    return faults_panel(list(_warnings(cost)))


def _warnings(cost: Cost) -> Iterator[Fault]:
    if not cost.fits:
        yield Fault(
            say(zh="现在的内存不够", en="there is not enough memory now"),
            fix=say(
                zh="关掉别的程序，或在“对话”里换下别的模型，或选 4 位、短一点的前缀",
                en="close other programs, or choose 4 bits or a shorter prefix",
            ),
            severity="warning",
        )
    if cost.figures.epochs >= OVERDONE:
        yield Fault(
            say(
                zh=f"每条要看 {cost.figures.epochs:.0f} 遍，会把例子背下来，别的都忘掉",
                en=f"each example is seen {cost.figures.epochs:.0f} times: it will be learnt by "
                "heart, and the rest forgotten",
            ),
            fix=say(zh="步数少一些", en="fewer steps"),
            severity="warning",
        )


# --- what is wrong ---------------------------------------------------------------------------


def _fault(fault: Fault) -> str:
    place = f":{fault.line}" if fault.line else ""
    where = f"<code>{escape(fault.path.name)}{place}</code> " if fault.path else ""
    fix = f'<p class="fix">→ {escape(fault.fix)}</p>' if fault.fix else ""
    return f"<p>{where}<b>{escape(fault.problem)}</b></p>{fix}"
