"""Starting, watching and stopping evaluations, without a page: what each button says and does.

Before a press it says what it costs and what it replaces; after it, how far it is; and a
failure keeps its reason and its fix.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape
from pathlib import Path

from bot.studio.evaluate import measuring
from bot.studio.evaluate import view as view
from bot.studio.evaluate.measuring import EXTENTS, Thoroughness, What
from bot.studio.evaluate.results import Archive, Results
from bot.studio.jobs import Job, Jobs
from trainer.errors import RensheError
from trainer.language import say


@dataclass(frozen=True)
class State:
    """What can be pressed, and how far it is.

    Attributes:
        status: the job's progress or end, as HTML.
        choices: name and cost of each thoroughness.
        cost: what else is to be known before pressing, as HTML.
        button: what the button of retention says.
        can_measure: it can be pressed.
        can_compare: the button of the plain evaluation can be.
        can_stop: there is something to stop.
    """

    status: str
    choices: tuple[tuple[str, Thoroughness], ...]
    cost: str = ""
    button: str = ""
    can_measure: bool = False
    can_compare: bool = False
    can_stop: bool = False


class Controls:
    """What is pressed on the tab.

    Args:
        archive: the results of the runs that are judged.
        jobs: where evaluations are queued.
    """

    def __init__(self, archive: Archive, jobs: Jobs) -> None:
        self._archive, self._jobs = archive, jobs
        self._watch = measuring.Watch()

    def state(self, run: str | None, how: Thoroughness) -> State:
        """Return what can be pressed for a run, and how far it is."""
        names = _names()
        if not run:
            return State("", tuple((name, key) for key, name in names.items()))
        try:
            found, folder = self._archive.results(run), self._archive.workshop.run_folder(run)
            jobs = self._jobs.all()
        except RensheError as error:
            choices = tuple((name, key) for key, name in names.items())
            return State(view.framed(view.fault_box(error.faults)), choices)
        job = self._latest(run, jobs)
        busy = job is not None and job.state in ("waiting", "running")
        costs = {key: self._cost(found, folder, "retention", key) for key in EXTENTS}
        share = measuring.measured_share(found, how)
        return State(
            status=view.framed(self._status(job, jobs)) if job else "",
            choices=tuple((f"{names[key]}{costs[key]}", key) for key in EXTENTS),
            cost=view.framed(self._price(found, folder, how)),
            button=_button(found, how, share),
            can_measure=not busy and not share.is_whole,
            can_compare=not busy,
            can_stop=busy,
        )

    def start(self, run: str | None, what: What, how: Thoroughness) -> None:
        """Queue an evaluation.

        Raises:
            RensheError: the run is gone, or is queued already.
        """
        found = self._archive.results(run or "")
        fresh = what == "retention" and measuring.must_begin_anew(found, how)
        words = measuring.arguments(found.run, what, how, fresh=fresh)
        self._jobs.add("eval", found.run, words)

    def stop(self, run: str | None) -> None:
        """Stop the evaluation of a run, or take it out of the queue; if there is none, nothing.

        Raises:
            RensheError: the queue cannot be read or written.
        """
        job = self._latest(run or "", self._jobs.all())
        if job and job.state in ("waiting", "running"):
            self._jobs.stop(job.id)

    def _latest(self, run: str, jobs: list[Job]) -> Job | None:
        return next((j for j in reversed(jobs) if (j.kind, j.run) == ("eval", run)), None)

    def _cost(self, found: Results, folder: Path, what: What, how: Thoroughness) -> str:
        try:
            dataset = self._archive.dataset(found.run)
        except RensheError:
            return ""  # the evaluation itself will say what is wrong with the data
        taken = measuring.seconds(found, dataset, folder, what, how)
        return f" · {measuring.worded_minutes(taken)}" if taken else ""

    def _price(self, found: Results, folder: Path, how: Thoroughness) -> str:
        """Return what a press would cost and replace."""
        plain = self._cost(found, folder, "plain", how).removeprefix(" · ")
        told = [say(zh=f"和底座比一比：{plain}。", en=f"Comparing with the base: {plain}.")]
        if not plain:
            told = [say(zh="要多久，测起来才知道。", en="How long it takes shows once it runs.")]
        if found.retention and measuring.must_begin_anew(found, how):
            told.append(
                say(
                    zh="现有的人设保持结果是按别的细致程度或别的检查点测的，重新测会换掉它。",
                    en="The retention shown was measured less or more closely, or on another "
                    "checkpoint: measuring replaces it.",
                )
            )
        return f'<p class="soft">{escape(" ".join(told))}</p>'

    def _status(self, job: Job, jobs: list[Job]) -> str:
        if job.state == "waiting":
            ahead = sum(other.state in ("waiting", "running") for other in jobs[: jobs.index(job)])
            told = say(zh=f"排队中，前面还有 {ahead} 个", en=f"Waiting; {ahead} before it")
            return _line(told)
        if job.state == "running":
            return self._running(job)
        if job.state == "failed":
            return _failed(job)
        if job.state == "stopped":
            retention = measuring.what_of(job) == "retention"
            return _line(
                say(zh="停下了。测完的都存着，再按一次就接着测。", en="Stopped. What was measured "
                    "is kept; press again to go on.")
                if retention
                else say(zh="停下了。", en="Stopped.")
            )  # fmt: skip
        return _line(say(zh="测完了 ✓", en="Done ✓"))

    def _running(self, job: Job) -> str:
        told = measuring.progress(self._jobs.output(job.id))
        if told is None:
            return _line(say(zh="正在准备…", en="Getting ready…"), 0.0)
        stage, done = told
        left = self._watch.left(job.id, done, time.monotonic())
        remaining = ""
        if left is not None:
            minutes = measuring.worded_minutes(left)
            remaining = say(zh=f" · 还要{minutes}", en=f" · {minutes} left")
        return _line(f"{stage} · {done:.0%}{remaining}", done)


def _names() -> dict[Thoroughness, str]:
    return {
        "quick": say(zh="快：各问 8 个", en="quick: 8 of each kind"),
        "usual": say(zh="一般：各问 64 个", en="usual: 64 of each kind"),
        "full": say(zh="全部：每种问法都问", en="full: every wording"),
    }


def _button(found: Results, how: Thoroughness, share: measuring.Share) -> str:
    if found.retention and measuring.must_begin_anew(found, how):
        return say(zh="重新测人设保持", en="Measure retention anew")
    if share.is_whole:
        return say(zh="人设保持测完了", en="Retention is measured")
    if share.done:
        counted = f"{share.done}/{share.wanted}"
        return say(zh=f"接着测（已测 {counted}）", en=f"Go on measuring ({counted} done)")
    return say(zh="测人设保持", en="Measure retention")


def _line(text: str, done: float | None = None) -> str:
    track = "" if done is None else f'<div class="track"><s style="width:{done:.0%}"></s></div>'
    return f'<div class="job" role="status"><span class="told">{escape(text)}</span>{track}</div>'


def _failed(job: Job) -> str:
    title = say(zh="没有测成：", en="It failed:")
    reason = job.reason or say(zh="没有说原因", en="it did not say why")
    return (
        f'<ul class="fault-box" role="alert"><li>{escape(title)}<p>{escape(reason)}</p></li></ul>'
    )
